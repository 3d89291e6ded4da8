"""The app behind `chirp demo`."""
