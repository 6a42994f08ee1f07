"""The course's side: data sets, training, models, and every figure that it prints."""
