"""Diagnosis: what an order waits for, which orders are stuck, whether the invariants hold."""
