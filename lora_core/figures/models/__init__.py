"""What a rank costs on a real model: its numbers and its drawing."""
