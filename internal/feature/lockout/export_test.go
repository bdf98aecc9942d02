package lockout

// CapAt has a store allow other numbers of tries than production does: a model tries every sequence, so they are small.
func (s *Store) CapAt(unknown, known, device int) { s.most = most{unknown, known, device} }
