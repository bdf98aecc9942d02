package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
)

type blockCommand struct {
	Add    blockAdd    `cmd:"" help:"Refuse all requests of a network."`
	Remove blockRemove `cmd:"" help:"Take a network's requests again."`
	List   blockList   `cmd:"" help:"List the blocked networks, the newest first."`
}

func (blockCommand) Help() string {
	return `Whatever a blocked network asks is answered 403 before anything is done for it, by every replica within a second. docs/guides/blocks.md says more.

Example:
  gatehouse block add 203.0.113.0/24 --reason "guesses passwords" --for 7d`
}

// blockJSON is a block for programs.
type blockJSON struct {
	ID        string     `json:"id"`
	Network   string     `json:"network"`
	Reason    string     `json:"reason"`
	AddedAt   time.Time  `json:"added_at"`
	ExpiresAt *time.Time `json:"expires_at"`
}

func newBlockJSON(b block.Block) blockJSON {
	return blockJSON{ID: b.ID, Network: b.Network.String(), Reason: b.Reason, AddedAt: b.AddedAt, ExpiresAt: jsonTime(b.ExpiresAt)}
}

// blocks runs a command that works on blocks.
func (t *terminal) blocks(ctx context.Context, do func(*flow.Blocks) error) error {
	c, _, err := t.settings()
	if err != nil {
		return err
	}
	return t.operator(ctx, func(o *flow.Operator) error { return do(app.OperatorBlocks(c, o)) })
}

type blockAdd struct {
	Network string `arg:"" optional:"" help:"An address, or a network in CIDR form. An IPv6 address stands for its /64."`
	File    string `placeholder:"PATH" help:"Block all networks of this file, one a line; what follows a # is a remark. - is standard input."`
	Reason  string `help:"Why, for whoever finds it later."`
	For     string `placeholder:"TIME" help:"How long: 90m, 24h or 7d. Without it, until it is removed."`
	Yes     bool   `help:"Do it even if it would refuse your own address, a trusted proxy, or a great part of the internet."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

func (blockAdd) Help() string {
	return `To block a network again gives it the new reason and end.

Examples:
  gatehouse block add 203.0.113.7 --for 24h
  gatehouse block add 2001:db8::/48 --reason "spam"
  gatehouse block add --file drop.txt --reason "a list of 2026-11-24"`
}

// Run blocks the network, or those of the file.
func (b blockAdd) Run(ctx context.Context, t *terminal) error {
	if (b.Network == "") == (b.File == "") {
		return usageError("name a network, or a --file of them.")
	}
	until, err := lasting(b.For, now())
	if err != nil {
		return err
	}
	networks := []string{b.Network}
	if b.File != "" {
		if networks, err = t.networks(b.File); err != nil {
			return err
		}
	}
	list := make([]flow.NewBlock, 0, len(networks))
	for _, n := range networks {
		list = append(list, flow.NewBlock{Network: n, Reason: b.Reason, ExpiresAt: until, Confirmed: b.Yes})
	}
	return t.blocks(ctx, func(f *flow.Blocks) error {
		err := b.add(ctx, t, f, list)
		if errors.Is(err, flow.ErrConfirm) {
			_, err = fmt.Fprintf(t.out, "%s Say --yes to do it.\n", fault.As(err).Message)
		}
		return err
	})
}

func (b blockAdd) add(ctx context.Context, t *terminal, f *flow.Blocks, list []flow.NewBlock) error {
	if b.File != "" {
		done, err := f.AddAll(ctx, list, ownAddresses(), t.origin())
		if err == nil || done > 0 {
			fmt.Fprintf(t.err, "Blocked %s.\n", count(done, "network"))
		}
		return err
	}
	made, added, err := f.Add(ctx, list[0], ownAddresses(), flow.Identity{}, t.origin())
	switch {
	case err != nil:
		return err
	case b.JSON:
		return t.json(newBlockJSON(made))
	case !added:
		_, err = fmt.Fprintf(t.out, "%s was blocked already, and is now %s.\n", made.Network, ends(made))
	default:
		_, err = fmt.Fprintf(t.out, "%s is blocked %s.\n", made.Network, ends(made))
	}
	return err
}

func ends(b block.Block) string {
	if b.ExpiresAt.IsZero() {
		return "until it is removed"
	}
	return "until " + day(b.ExpiresAt)
}

// networks reads a file of networks.
func (t *terminal) networks(path string) (list []string, err error) {
	in := io.Reader(t.in)
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the operator's own
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if _, err := block.ParseNetwork(line); err != nil {
			wrong := *fault.As(err)
			wrong.Message = fmt.Sprintf("line %d: %s", n, wrong.Message)
			return nil, &wrong
		}
		list = append(list, line)
	}
	return list, lines.Err()
}

// ownAddresses are this machine's, and the one that the operator's SSH session
// comes from.
func ownAddresses() (own []netip.Addr) {
	ssh, _, _ := strings.Cut(os.Getenv("SSH_CLIENT"), " ")
	if a, err := netip.ParseAddr(ssh); err == nil {
		own = append(own, a)
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return own
	}
	for _, n := range list {
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			own = append(own, p.Addr())
		}
	}
	return own
}

type blockRemove struct {
	Network string `arg:"" help:"The network, or the id of its block."`
}

func (blockRemove) Help() string { return "Example:\n  gatehouse block remove 203.0.113.0/24" }

// Run ends the block.
func (b blockRemove) Run(ctx context.Context, t *terminal) error {
	return t.blocks(ctx, func(f *flow.Blocks) error {
		is, err := f.Remove(ctx, b.Network, flow.Identity{}, t.origin())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.out, "%s is not blocked any more.\n", is.Network)
		return err
	})
}

type blockList struct {
	Limit int  `default:"100" help:"At most so many; 0 for all. (${default})"`
	JSON  bool `name:"json" help:"Print JSON, a block a line."`
}

func (blockList) Help() string { return "Example:\n  gatehouse block list" }

// Run lists the blocks.
func (l blockList) Run(ctx context.Context, t *terminal) error {
	if l.Limit < 0 {
		return usageError("--limit is 0 or more.")
	}
	return t.blocks(ctx, func(f *flow.Blocks) error {
		const page = 500
		lines, cursor, told := [][]string{{"ID", "NETWORK", "ADDED", "UNTIL", "REASON"}}, "", 0
		for more := true; more; {
			size := page
			if l.Limit > 0 {
				size = min(page, l.Limit-told)
			}
			list, left, err := f.List(ctx, cursor, size)
			if err != nil {
				return err
			}
			for _, b := range list {
				cursor = b.ID
				if l.JSON {
					err = errors.Join(err, t.jsonLine(newBlockJSON(b)))
				} else {
					lines = append(lines, []string{b.ID, b.Network.String(), day(b.AddedAt), day(b.ExpiresAt), b.Reason})
				}
			}
			told += len(list)
			if err != nil {
				return err
			}
			more = left && told != l.Limit
		}
		switch {
		case l.JSON:
			return nil
		case told == 0:
			fmt.Fprintln(t.err, "Nothing is blocked.")
			return nil
		}
		return t.table(lines)
	})
}

// lasting returns when a time is over that begins now: 90m, 24h, 7d; the zero time
// for none.
func lasting(s string, at time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	ago, err := moment(s, at)
	if err != nil || strings.Contains(s, "-") || !ago.Before(at) || at.Sub(ago) > 10*366*24*time.Hour {
		return time.Time{}, usageError("--for is how long, ten years at most: 90m, 24h or 7d.")
	}
	return at.Add(at.Sub(ago)), nil
}
