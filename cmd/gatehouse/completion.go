package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCommand) Help() string {
	return `Examples:
  source <(gatehouse completion bash)
  gatehouse completion bash > /etc/bash_completion.d/gatehouse
  gatehouse completion zsh > "${fpath[1]}/_gatehouse"
  gatehouse completion fish > ~/.config/fish/completions/gatehouse.fish`
}

// Run prints the script, which knows all commands and flags and starts nothing.
func (c completionCommand) Run(t *terminal.Terminal, k *kong.Kong) error {
	var b strings.Builder
	switch c.Shell {
	case "bash":
		bashCompletion(&b, k.Model.Node)
		b.WriteString("complete -o default -F _gatehouse gatehouse\n")
	case "zsh":
		b.WriteString("#compdef gatehouse\nautoload -U +X bashcompinit && bashcompinit\n")
		bashCompletion(&b, k.Model.Node)
		b.WriteString("complete -o default -F _gatehouse gatehouse\n")
	case "fish":
		fishCompletion(&b, k.Model.Node)
	}
	_, err := fmt.Fprint(t.Out, b.String())
	return err
}

// candidate is a word that may come next, with its help.
type candidate struct{ word, help string }

// candidates are the subcommands of a command, its arguments' words, and its flags.
func candidates(n *kong.Node) (words, flags []candidate) {
	for _, child := range n.Children {
		if !child.Hidden {
			words = append(words, candidate{child.Name, child.Help})
		}
	}
	for _, arg := range n.Positional {
		if arg.Tag.Enum != "" {
			for word := range strings.SplitSeq(arg.Tag.Enum, ",") {
				words = append(words, candidate{word, ""})
			}
		}
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			flags = append(flags, candidate{"--" + f.Name, f.Help})
		}
	}
	return words, flags
}

// bashCompletion writes a function that finds out how far the command has come, by the
// words that are no flags, and offers what may follow.
func bashCompletion(b *strings.Builder, root *kong.Node) {
	b.WriteString("_gatehouse() {\n  local at='' word i\n  for ((i = 1; i < COMP_CWORD; i++)); do\n    word=${COMP_WORDS[i]}\n    case \"$at $word\" in\n")
	var paths []string
	walk(root, nil, func(_ *kong.Node, path []string) {
		if len(path) > 0 {
			paths = append(paths, fmt.Sprintf("%q", " "+strings.Join(path, " ")))
		}
	})
	b.WriteString("      " + strings.Join(paths, "|") + ") at=\"$at $word\" ;;\n    esac\n  done\n  local words=''\n  case \"$at\" in\n")
	walk(root, nil, func(n *kong.Node, path []string) {
		key := strings.Join(path, " ")
		if key != "" {
			key = " " + key
		}
		words, flags := candidates(n)
		var list []string
		for _, c := range append(words, flags...) {
			list = append(list, c.word)
		}
		fmt.Fprintf(b, "    %q) words=%q ;;\n", key, strings.Join(list, " "))
	})
	b.WriteString("  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\n")
}

// fishCompletion writes a line for each word that may follow a command.
func fishCompletion(b *strings.Builder, root *kong.Node) {
	walk(root, nil, func(n *kong.Node, path []string) {
		var when []string
		for _, word := range path {
			when = append(when, "__fish_seen_subcommand_from "+word)
		}
		words, flags := candidates(n)
		if len(words) > 0 {
			var children []string
			for _, c := range words {
				children = append(children, c.word)
			}
			when = append(when, "not __fish_seen_subcommand_from "+strings.Join(children, " "))
		}
		condition := fishQuote(strings.Join(when, "; and "))
		for _, c := range words {
			fmt.Fprintf(b, "complete -c gatehouse -f -n %s -a %s -d %s\n", condition, c.word, fishQuote(c.help))
		}
		for _, c := range flags {
			fmt.Fprintf(b, "complete -c gatehouse -n %s -l %s -d %s\n", condition, strings.TrimPrefix(c.word, "--"), fishQuote(c.help))
		}
	})
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// walk visits a command and those below it.
func walk(n *kong.Node, path []string, visit func(n *kong.Node, path []string)) {
	visit(n, path)
	for _, child := range n.Children {
		if !child.Hidden {
			walk(child, append(path[:len(path):len(path)], child.Name), visit)
		}
	}
}
