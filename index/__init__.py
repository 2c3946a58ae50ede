"""The library: articles in, ranked sentences out. It knows nothing of HTTP."""
