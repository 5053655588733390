"""Faces and their labels: FER2013, folders of images, the sample faces, and what the generator adds to them."""
