"""Reports as self-contained HTML that needs no network and no script.

    page(report)         one file: verdict, cause, table, pictures, method, how to repeat it
    fragment(report)     the same evidence, smaller, for the output of a notebook cell
    class_index(reports) and own_page(report)  a class as pages that link to one another
    files_page(reports)  what `check` found in many files
    file_fragment(report)  what was found of the passes in a notebook, for the output of a cell

Everything that a user supplied (names of files, tensors, settings) is escaped: only
`verify.show.page.markup.element` turns text into HTML. A printed number that the JSON has too is a
`<data value="...">` with all digits of the JSON.
"""

from verify.show.page.class_pages import class_index, own_page, page_names
from verify.show.page.files import file_fragment, files_page
from verify.show.page.report import fragment, page

__all__ = [
    "class_index",
    "file_fragment",
    "files_page",
    "fragment",
    "own_page",
    "page",
    "page_names",
]
