package db

import "context"

// Columns returns the columns of all tables that the database has, whether or not this role may read them.
func (d *DB) Columns(ctx context.Context) (map[string][]string, error) {
	out := map[string][]string{}
	err := d.Read(ctx, func(tx *Tx) error {
		rows, err := tx.allColumns()
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var table, column string
			if err := rows.Scan(&table, &column); err != nil {
				return err
			}
			out[table] = append(out[table], column)
		}
		return rows.Err()
	})
	return out, err
}

func (tx *Tx) allColumns() (*Rows, error) {
	if tx.dialect == Postgres {
		return tx.Query(`SELECT CAST(c.relname AS TEXT), CAST(a.attname AS TEXT) FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
			WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2`)
	}
	return tx.Query(`SELECT m.name, c.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite@_%' ESCAPE '@' ORDER BY 1, 2`)
}
