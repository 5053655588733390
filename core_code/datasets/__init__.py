"""Faces and their labels. A new source is a function that returns `splits.Splits`, called by `fer2013.load_split`."""
