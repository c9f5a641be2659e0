"""The demo's side that people look at: the story, its claims, and how they are told."""
