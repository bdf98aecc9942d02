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

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/app"
	"github.com/gatehouse-auth/gatehouse/internal/base/fault"
	"github.com/gatehouse-auth/gatehouse/internal/feature/block"
	"github.com/gatehouse-auth/gatehouse/internal/flow"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type blockCommand struct {
	Add    blockAdd    `cmd:"" help:"Refuse all requests from a network."`
	Remove blockRemove `cmd:"" help:"Unblock a network."`
	List   blockList   `cmd:"" help:"List the blocked networks, the newest first."`
}

func (blockCommand) Help() string {
	return `Every request from a blocked network is answered 403 before any work is done for it, by every replica within a second.
See docs/guides/blocks.md.

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
	return blockJSON{ID: b.ID, Network: b.Network.String(), Reason: b.Reason, AddedAt: b.AddedAt, ExpiresAt: terminal.JSONTime(b.ExpiresAt)}
}

// blocks runs a command that works on blocks.
func blocks(ctx context.Context, t *terminal.Terminal, do func(*operate.Blocks) error) error {
	c, _, err := t.Settings()
	if err != nil {
		return err
	}
	return t.Operator(ctx, func(o *operate.Operator) error { return do(app.OperatorBlocks(c, o)) })
}

// longestBlock is the longest time that can be stated for a block.
const longestBlock = 10 * 366 * 24 * time.Hour

type blockAdd struct {
	Network string `arg:"" optional:"" help:"An address, or a network in CIDR form. An IPv6 address stands for its /64."`
	File    string `placeholder:"PATH" help:"Block all networks in this file, one per line, with comments after a #. - is standard input."`
	Reason  string `help:"Why it is blocked, for those who find it later."`
	For     string `placeholder:"TIME" help:"How long: 90m, 24h or 7d. Without it, until you remove it."`
	Yes     bool   `help:"Block it even if that includes your own address, a trusted proxy, or a large part of the internet."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

func (blockAdd) Help() string {
	return `Blocking a network again replaces its reason and its end.

Examples:
  gatehouse block add 203.0.113.7 --for 24h
  gatehouse block add 2001:db8::/48 --reason "spam"
  gatehouse block add --file drop.txt --reason "blocklist of 2026-11-24"`
}

// Run blocks the network, or those of the file.
func (b blockAdd) Run(ctx context.Context, t *terminal.Terminal) error {
	if (b.Network == "") == (b.File == "") {
		return terminal.UsageError("Name a network, or a --file of them.")
	}
	var until time.Time
	if b.For != "" {
		lasts, ok := terminal.Duration(b.For, longestBlock)
		if !ok || lasts == 0 {
			return terminal.UsageError("--for must be a duration of at most ten years, such as 90m, 24h or 7d.")
		}
		until = time.Now().Add(lasts)
	}
	var err error
	networks := []string{b.Network}
	if b.File != "" {
		if networks, err = networksIn(t, b.File); err != nil {
			return err
		}
	}
	list := make([]operate.NewBlock, 0, len(networks))
	for _, n := range networks {
		list = append(list, operate.NewBlock{Network: n, Reason: b.Reason, ExpiresAt: until, Confirmed: b.Yes})
	}
	return blocks(ctx, t, func(f *operate.Blocks) error {
		err := b.add(ctx, t, f, list)
		if errors.Is(err, operate.ErrConfirm) {
			_, err = fmt.Fprintf(t.Out, "%s Add --yes to do it.\n", fault.As(err).Message)
		}
		return err
	})
}

func (b blockAdd) add(ctx context.Context, t *terminal.Terminal, f *operate.Blocks, list []operate.NewBlock) error {
	if b.File != "" {
		done, err := f.AddAll(ctx, list, ownAddresses(), t.Origin())
		if err == nil || done > 0 {
			fmt.Fprintf(t.Err, "Blocked %s.\n", terminal.Count(done, "network"))
		}
		return err
	}
	made, added, err := f.Add(ctx, list[0], ownAddresses(), flow.Identity{}, t.Origin())
	switch {
	case err != nil:
		return err
	case b.JSON:
		return t.JSON(newBlockJSON(made))
	case !added:
		_, err = fmt.Fprintf(t.Out, "%s was already blocked, and now is blocked %s.\n", made.Network, ends(made))
	default:
		_, err = fmt.Fprintf(t.Out, "%s is blocked %s.\n", made.Network, ends(made))
	}
	return err
}

func ends(b block.Block) string {
	if b.ExpiresAt.IsZero() {
		return "until it is removed"
	}
	return "until " + terminal.Time(b.ExpiresAt)
}

// networksIn reads a file of networks.
func networksIn(t *terminal.Terminal, path string) (list []string, err error) {
	in := io.Reader(t.In)
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
func (b blockRemove) Run(ctx context.Context, t *terminal.Terminal) error {
	return blocks(ctx, t, func(f *operate.Blocks) error {
		is, err := f.Remove(ctx, b.Network, flow.Identity{}, t.Origin())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.Out, "%s is no longer blocked.\n", is.Network)
		return err
	})
}

type blockList struct {
	Limit int  `default:"100" help:"Show at most this many; 0 shows all (${default})."`
	JSON  bool `name:"json" help:"Print JSON, one block per line."`
}

func (blockList) Help() string { return "Example:\n  gatehouse block list" }

// Run lists the blocks.
func (l blockList) Run(ctx context.Context, t *terminal.Terminal) error {
	if l.Limit < 0 {
		return terminal.UsageError("--limit must be 0 or more.")
	}
	return blocks(ctx, t, func(f *operate.Blocks) error {
		const page = 500
		lines, cursor, shown := [][]string{{"ID", "NETWORK", "ADDED", "UNTIL", "REASON"}}, "", 0
		for more := true; more; {
			size := page
			if l.Limit > 0 {
				size = min(page, l.Limit-shown)
			}
			list, left, err := f.List(ctx, cursor, size)
			if err != nil {
				return err
			}
			for _, b := range list {
				cursor = b.ID
				if l.JSON {
					err = errors.Join(err, t.JSONLine(newBlockJSON(b)))
				} else {
					lines = append(lines, []string{b.ID, b.Network.String(), terminal.Time(b.AddedAt), terminal.Time(b.ExpiresAt), b.Reason})
				}
			}
			shown += len(list)
			if err != nil {
				return err
			}
			more = left && shown != l.Limit
		}
		switch {
		case l.JSON:
			return nil
		case shown == 0:
			fmt.Fprintln(t.Err, "No network is blocked.")
			return nil
		}
		return t.Table(lines)
	})
}
