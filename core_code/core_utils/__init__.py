"""Plain tools that know neither faces nor emotions' data: files, flags, devices, metrics, plots.

Everything else may import these; they import nothing of the project.
"""
