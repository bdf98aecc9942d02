package user

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-auth/gatehouse/cmd/gatehouse/terminal"
	"github.com/gatehouse-auth/gatehouse/internal/feature/factor"
	"github.com/gatehouse-auth/gatehouse/internal/flow/operate"
)

type factorResealCommand struct {
	Yes bool `help:"Do it. Without it, the command only lists what it would take."`
}

func (factorResealCommand) Help() string {
	return `When JWT_SECRET_KEY is lost, all keys are made anew. Then no key recognises the passkeys that were added before, and none opens the
secrets of apps. This signs the passkeys' rows anew, as they are, so that they work again. The apps' secrets are gone: those apps are
suspended, so that they still count and open nothing, and their owners need a recovery code, or gatehouse user factor reset.

It can't tell a passkey that its owner added from one that somebody wrote into the database: after this, each opens its account. Look
through the list first, for administrators above all, and compare it with a backup or with the events factor_added. A passkey that was
added when the new keys were there already is not taken: no loss explains why they don't recognise it. You can interrupt it and run it
again. gatehouse backup restore --secret-lost does it as well.

Examples:
  gatehouse user factor reseal
  gatehouse user factor reseal --yes`
}

// cantTell is said whenever a passkey is taken.
const cantTell = "Nothing tells a passkey that its owner added from one that somebody wrote into the database: each of these opens its account afterwards."

// Run takes them, or says which those are.
func (u factorResealCommand) Run(ctx context.Context, t *terminal.Terminal) error {
	return t.Operator(ctx, func(o *operate.Operator) error {
		var lines [][]string
		n, err := o.ResealFactors(ctx, !u.Yes, t.Origin(), func(f operate.Unrecognised) error {
			lines = append(lines, unrecognised(f))
			return nil
		})
		if len(lines) > 0 {
			err = errors.Join(t.Table(append([][]string{{"FACTOR", "EMAIL", "NAME", "ADDED"}}, lines...)), err)
		}
		keys, apps := terminal.Count(n.Passkeys, "passkey"), terminal.Count(n.Apps, "app")
		switch {
		case err != nil && u.Yes && n.Passkeys+n.Apps > 0:
			return errors.Join(fmt.Errorf("took %s and suspended %s before this went wrong; run it again once that is fixed", keys, apps), err)
		case err != nil:
			return err
		case n.Passkeys+n.Apps+n.Altered == 0:
			fmt.Fprintf(t.Out, "There is nothing to do: the keys recognise every factor (%s).\n", terminal.Count(n.Genuine, "passkey"))
			return nil
		case u.Yes:
			fmt.Fprintf(t.Out, "Took %s as they are, and suspended %s, whose secrets are gone.\n", keys, apps)
		default:
			fmt.Fprintf(t.Out, "This would take %s as they are, and suspend %s, whose secrets are gone.\n", keys, apps)
		}
		if n.Passkeys > 0 {
			fmt.Fprintln(t.Out, cantTell)
		}
		if n.Genuine > 0 {
			fmt.Fprintf(t.Out, "The keys recognise %s: if JWT_SECRET_KEY was never lost, somebody has written those in the list.\n",
				terminal.Count(n.Genuine, "other passkey"))
		}
		if n.Altered > 0 {
			fmt.Fprintf(t.Out, "%s added when the keys were there already, so no loss explains why they are not recognised: they open nothing, and are not taken.\n",
				terminal.Plural(int64(n.Altered), "passkey was", "passkeys were"))
		}
		if !u.Yes {
			fmt.Fprintln(t.Out, "Add --yes to do it.")
		}
		return nil
	})
}

// unrecognised is its line.
func unrecognised(f operate.Unrecognised) []string {
	switch {
	case f.Altered:
		return []string{"passkey, not taken", f.Email, f.Name + " (" + f.Host + ")", terminal.Time(f.MadeAt)}
	case f.Kind == factor.App:
		return []string{"totp", f.Email, "", terminal.Time(f.MadeAt)}
	}
	return []string{"passkey", f.Email, f.Name + " (" + f.Host + ")", terminal.Time(f.MadeAt)}
}
