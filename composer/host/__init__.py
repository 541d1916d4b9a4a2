"""The machine: kernel, files and the programs we drive, each behind a thin typed door."""
