"""The seven emotions in the two orders that number them, and the eight of FERPlus."""

# Labels 0..6 of FER2013, and of everything in this program.
EMOTIONS = ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")
# Labels 0..6 of AffectNet (Mollahosseini et al., 2017), by which GANmut's published checkpoints number them.
AFFECTNET_EMOTIONS = ("Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Angry")
# Labels 0..7 of FERPlus in this program.
FERPLUS_EMOTIONS = (*EMOTIONS, "Contempt")
