"""Generator, discriminator, face encoder, and the overlay that the generator starts from."""
