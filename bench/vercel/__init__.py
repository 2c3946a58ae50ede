"""The Vercel AI SDK, unmodified, against a server on the seeds."""
