package db

// GrantedRights is what the serving role may do with each table.
func GrantedRights() map[string][]string {
	rights := map[string][]string{}
	for _, g := range grants {
		rights[g.table] = g.rights
	}
	return rights
}

// Functions are the schema's functions.
func Functions() []string { return functions }
