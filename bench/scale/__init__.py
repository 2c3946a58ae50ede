"""How speed, memory and quality change with the size of a corpus, beside what others build: `python -m bench.scale`."""
