"""Coverage-guided fuzzing of what reads bytes from strangers (`make fuzz`), and its corpus."""
