"""READS. What operators' pages show of Sensay: under the quota, after everybody who waits for an answer, once."""
