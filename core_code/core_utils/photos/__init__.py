"""Pictures of any origin, and the faces in them."""
