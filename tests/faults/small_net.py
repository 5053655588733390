"""Run one of the scripts with a small net in the table: `python small_net.py train_model.py --net_name small ...`.

Everything else is the script's own, from its first import to its exit status.
"""

import runpy
import sys

from core_code.models.architectures import ARCHITECTURES, Architecture, HyperParameters

SMALL = Architecture("shufflenet_v2_x0_5", "IMAGENET1K_V1", 1024, "fc", HyperParameters(16, 1e-3, 1e-5))

if __name__ == "__main__":
    ARCHITECTURES["small"] = SMALL
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
