"""What `./quell` runs: makes the environment, starts, watches and stops the processes.

Standard library only: this package runs before anything is installed, and imports nothing of Quell.
"""
