"""One colour per emotion, the same in every picture."""

from collections.abc import Sequence

# Angry, Disgust, Fear, Happy, Sad, Surprise, Neutral. Okabe and Ito's colours, told apart with any colour vision:
# https://jfly.uni-koeln.de/color/
EMOTION_COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#0072B2", "#56B4E9", "#666666")
MORE_COLOURS = ("#000000", "#F0E442")  # the other two of theirs


def colours_of(emotions: Sequence[str]) -> list[str]:
    """A colour for each emotion; of more than nine they come round again."""
    colours = EMOTION_COLOURS + MORE_COLOURS
    return [colours[place % len(colours)] for place in range(len(emotions))]
