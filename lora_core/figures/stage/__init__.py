"""What the stage shows: curves before and after a reveal, and the drawings of scenes without a curve."""
