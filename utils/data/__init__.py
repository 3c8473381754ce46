"""Data: schema, vocabulary, conversion to MindRecord, reading, and the synthetic generator."""
