package mutant

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// piece is a part of a source, from one offset to another, with the mutants that are in it.
type piece struct {
	from, to int
	mutants  []int // their numbers, from 1 on
	text     bool  // a string literal; else a statement
	define   bool  // a statement that makes variables
	constant int   // where the declaration of the constant begins that the literal is; else 0
}

// weave puts the mutants of a file into its source, asleep, and returns it with the
// constants that became variables and the name of its package. A string literal gets a
// function around it that looks which mutant is awake, and a statement an if.
func weave(source, name string, mutants []Mutant) (woven string, constants []string, pkg string, err error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.ParseComments)
	if err != nil {
		return "", nil, "", err
	}
	all := pieces(set, file)
	for i, m := range mutants {
		if m.File != name {
			continue
		}
		found := 0
		for at := range indices(source, m.From) {
			p := enclosing(all, at, at+len(m.From))
			if p == nil {
				continue // in a comment, say
			}
			found++
			if !slices.Contains(p.mutants, i+1) {
				p.mutants = append(p.mutants, i+1)
			}
		}
		if found == 0 {
			return "", nil, "", fmt.Errorf("%s no longer has %q: mend the mutant %q", name, m.From, m.Name)
		}
	}
	for _, p := range all {
		if len(p.mutants) > 0 && p.constant > 0 { // a call is no constant
			source = vary(source, p.constant)
			constants = append(constants, strings.Fields(source[p.constant:])[1])
		}
	}
	return render(source, all, mutants), constants, file.Name.Name, nil
}

// vary makes a variable of the constant that is declared at an offset.
func vary(source string, at int) string { return source[:at] + "var  " + source[at+len("const"):] }

// follow makes variables of the constants of a file that are made of such as became
// variables.
func follow(source string, constants []string) string {
	for _, name := range constants {
		for _, found := range regexp.MustCompile(`(?m)^const \w+ = .*\b`+regexp.QuoteMeta(name)+`\b`).FindAllStringIndex(source, -1) {
			source = vary(source, found[0])
		}
	}
	return source
}

// indices are the offsets of a text in a source.
func indices(source, text string) func(func(int) bool) {
	return func(yield func(int) bool) {
		for at := 0; ; at++ {
			i := strings.Index(source[at:], text)
			if i < 0 || !yield(at+i) {
				return
			}
			at += i
		}
	}
}

// pieces are the string literals and statements of a file that can be wrapped.
func pieces(set *token.FileSet, file *ast.File) []*piece {
	var list []*piece
	constant := 0
	add := func(n ast.Node) *piece {
		p := &piece{from: set.Position(n.Pos()).Offset, to: set.Position(n.End()).Offset}
		list = append(list, p)
		return p
	}
	statements := func(body []ast.Stmt) {
		for _, s := range body {
			a, assigns := s.(*ast.AssignStmt)
			add(s).define = assigns && a.Tok == token.DEFINE
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.GenDecl:
			if n.Tok == token.CONST {
				constant = set.Position(n.Pos()).Offset
				return !n.Lparen.IsValid()
			}
			constant = 0
		case *ast.FuncDecl:
			constant = 0
		case *ast.Field:
			return n.Tag == nil
		case *ast.BasicLit:
			if n.Kind == token.STRING {
				p := add(n)
				p.text, p.constant = true, constant
			}
		case *ast.BlockStmt:
			statements(n.List)
		case *ast.CaseClause:
			statements(n.Body)
		case *ast.IfStmt:
			if n.Else != nil {
				if _, chained := n.Else.(*ast.IfStmt); chained {
					add(n.Else)
				}
			}
		}
		return true
	})
	return list
}

// enclosing is the smallest piece that holds everything between two offsets.
func enclosing(all []*piece, from, to int) (best *piece) {
	for _, p := range all {
		if p.from <= from && to <= p.to && (best == nil || p.to-p.from < best.to-best.from) {
			best = p
		}
	}
	return best
}

// render writes the source with its mutants. Of pieces within one another the outermost
// is written, and in it those within.
func render(source string, all []*piece, mutants []Mutant) string {
	var with []*piece
	for _, p := range all {
		if len(p.mutants) > 0 {
			with = append(with, p)
		}
	}
	slices.SortFunc(with, func(a, b *piece) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to)) })
	var write func(from, to int, list []*piece) string
	write = func(from, to int, list []*piece) string {
		var b strings.Builder
		for len(list) > 0 {
			p := list[0]
			inside := 1
			for inside < len(list) && list[inside].from < p.to {
				inside++
			}
			b.WriteString(source[from:p.from])
			b.WriteString(p.render(source, write(p.from, p.to, list[1:inside]), mutants))
			from, list = p.to, list[inside:]
		}
		b.WriteString(source[from:to])
		return b.String()
	}
	return write(0, len(source), with)
}

// render writes the piece: asleep is what it says with no mutant of its own awake.
func (p *piece) render(source, asleep string, mutants []Mutant) string {
	if p.text {
		var numbers []string
		for _, n := range p.mutants {
			numbers = append(numbers, strconv.Itoa(n))
		}
		return "mutantText(" + asleep + ", " + strings.Join(numbers, ", ") + ")"
	}
	var b strings.Builder
	if p.define {
		b.WriteString(asleep)
	}
	for _, n := range p.mutants {
		changed := strings.ReplaceAll(source[p.from:p.to], mutants[n-1].From, mutants[n-1].To)
		if p.define {
			fmt.Fprintf(&b, "\nif mutantIs(%d) {\n%s\n}", n, strings.Replace(changed, ":=", "=", 1))
			continue
		}
		fmt.Fprintf(&b, "if mutantIs(%d) {\n%s\n} else ", n, changed)
	}
	if !p.define {
		b.WriteString("{\n" + asleep + "\n}")
	}
	return b.String()
}
