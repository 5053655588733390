"""`python -m core_code.predict`: emotions of the faces in pictures."""
