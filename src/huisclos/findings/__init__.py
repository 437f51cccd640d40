"""What an audit says: findings, attempts, evidence of closed types, and the report that carries them."""
