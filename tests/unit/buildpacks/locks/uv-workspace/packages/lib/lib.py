from importlib.metadata import version

BLINKER = version("blinker")
