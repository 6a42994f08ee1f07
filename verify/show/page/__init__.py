"""Reports to hand to somebody: self-contained HTML that needs neither network nor script.

    page(report)         one file: verdict, cause, table, pictures, method, how to repeat it
    fragment(report)     the same evidence, smaller, for the output of a notebook cell
    files_page(reports)  what `check` found in many files

Whatever a user supplied (names of files, tensors, settings) is escaped by construction: text
becomes HTML in `verify.show.page.markup.element` alone. Every printed number that the JSON has too
is a `<data value="...">` with the digits that the JSON has.
"""

from verify.show.page.files import files_page
from verify.show.page.report import fragment, page

__all__ = ["files_page", "fragment", "page"]
