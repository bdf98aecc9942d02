package schema_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-auth/gatehouse/internal/base/db"
	"github.com/gatehouse-auth/gatehouse/internal/base/db/dbtest"
	"github.com/gatehouse-auth/gatehouse/internal/base/schema"
)

// types are what the two databases call the types that there may be.
var types = map[string]schema.Type{
	"INTEGER": schema.Integer, "TEXT": schema.Text, "BLOB": schema.Bytes,
	"bigint": schema.Integer, "integer": schema.Integer, "smallint": schema.Integer, "text": schema.Text, "bytea": schema.Bytes,
}

// columnsOf reads what the database has.
func columnsOf(t *testing.T, d *db.DB) map[string]map[string]string {
	t.Helper()
	query := `SELECT m.name, c.name, c.type FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite@_%' ESCAPE '@'`
	if d.Dialect() == db.Postgres {
		query = `SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'`
	}
	out := map[string]map[string]string{}
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows, err := tx.Query(query)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var table, column, kind string
			if err := rows.Scan(&table, &column, &kind); err != nil {
				return err
			}
			if out[table] == nil {
				out[table] = map[string]string{}
			}
			out[table][column] = kind
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every table and every column of both databases says what a backup and a restore do
// with it, and none has a type that one of them does not have.
func TestDB4_EveryTableAndColumnSaysHowItIsRestored(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		found := columnsOf(t, d)
		for name := range found {
			if _, ok := schema.Find(name); !ok {
				t.Errorf("the table %s is not in schema.Tables: say there how it is backed up and restored", name)
			}
		}
		for _, table := range schema.Tables {
			columns := found[table.Name]
			if table.Restore == schema.Absent {
				continue // of those no column matters; schema_lock is made by who migrates
			}
			want := map[string]schema.Type{}
			for name, kind := range columns {
				ours, ok := types[kind]
				if !ok {
					t.Errorf("%s.%s has the type %s; there are only integers, text and bytes", table.Name, name, kind)
				}
				if name == "tx" { // counts one server's transactions
					if table.Name != "event" {
						continue
					}
					name = schema.Open
				}
				want[name] = ours
			}
			got := map[string]schema.Type{}
			for _, c := range table.Columns {
				got[c.Name] = c.Type
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-database +schema.Tables):\n%s", table.Name, diff)
			}
		}
	})
}

func TestColumnsStandInOrder(t *testing.T) {
	seen := map[string]bool{}
	for _, table := range schema.Tables {
		if seen[table.Name] || table.Why == "" {
			t.Errorf("%s stands twice, or does not say why", table.Name)
		}
		seen[table.Name] = true
		if !slices.IsSortedFunc(table.Columns, func(a, b schema.Column) int { return map[bool]int{true: -1, false: 1}[a.Name < b.Name] }) {
			t.Errorf("the columns of %s are not in the order of their names", table.Name)
		}
	}
}

// Every column of both databases is in the inventory of personal data, in one class; or its table is one that knows
// nothing of anybody (ASVS 14.1.1).
func TestASVS_V14_1_1_GDPR1_EveryColumnIsInTheInventory(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		found := columnsOf(t, d)
		for _, p := range schema.Inventory {
			columns := found[p.Table]
			if columns == nil || p.Why == "" || p.Until == "" || (p.Person == "") == (p.Erased == "") {
				t.Errorf("%s is no table, or does not say why, how long, or whose its rows are", p.Table)
			}
			delete(found, p.Table)
			if _, ok := columns[p.Person]; p.Person != "" && !ok {
				t.Errorf("%s has no column %s", p.Table, p.Person)
			}
			for class, names := range p.Columns {
				if class != schema.Plain && !slices.ContainsFunc(schema.Classes, func(r schema.ClassRule) bool { return r.Class == class }) {
					t.Errorf("%s: there is no class %s", p.Table, class)
				}
				for _, name := range names {
					if _, ok := columns[name]; !ok {
						t.Errorf("%s.%s is in the inventory twice, or not in the database", p.Table, name)
					}
					delete(columns, name)
				}
			}
			for name := range columns {
				t.Errorf("%s.%s is not in the inventory: say there what it tells of people", p.Table, name)
			}
		}
		for _, name := range schema.Impersonal {
			delete(found, name)
		}
		for name := range found {
			t.Errorf("the table %s is neither in the inventory nor among those that know nothing of anybody", name)
		}
	})
}
