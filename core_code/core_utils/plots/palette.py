"""One colour per emotion, the same in every picture."""

from collections.abc import Sequence

# Angry, Disgust, Fear, Happy, Sad, Surprise, Neutral. Okabe and Ito's colours, told apart with any colour vision:
# https://jfly.uni-koeln.de/color/
EMOTION_COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#0072B2", "#56B4E9", "#666666")


def colours_of(emotions: Sequence[str]) -> list[str]:
    """A colour for each emotion; of more than seven, or others, they come round again."""
    return [EMOTION_COLOURS[place % len(EMOTION_COLOURS)] for place in range(len(emotions))]
