package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/receipt"
)

// How often the verdict is asked for: at first for people's sake, later for the
// rate limit's, which at GitHub is 1,000 requests an hour for a workflow's token.
// A registry counts pulls, and what is not there is none.
const (
	firstPoll          = time.Second
	slowestPoll        = 5 * time.Second
	slowestReceiptPoll = 2 * time.Second
	pollsAtFirst       = 10 // then every wait is a quarter longer
)

// answerPatience is how long an agent that has to answer by receipts alone has for
// its first one: the workflow's token may not read check runs.
const answerPatience = time.Minute

// waiting is the wait for the verdict on one deploy. The agent answers with a
// check run, with receipts, or with both: whichever comes first decides.
type waiting struct {
	a        *Action
	d        *deploy
	start    time.Time
	verdicts Verdicts
	names    []string // of the check run; the next to ask for is the first
	github   pace
	registry pace
	seen     bool  // of either
	blind    error // why GitHub is not asked any more
	deaf     error // why the registry is not asked any more
	trouble  error // of the last question to GitHub
	lost     error // of the last question to the registry
	progress []string
	last     *receipt.Receipt // the newest one
	number   int              // of the next one
	report   *report          // what this run writes to GitHub itself; nil while that is the agent's business
}

// checkNames are the names that the agent may give the check run, the likelier
// one first: it names the app where it knows several of one repository.
func checkNames(d *deploy) []string {
	names := []string{"inhaul / " + d.environment, "inhaul / " + d.app.Name + " / " + d.environment}
	if d.several {
		slices.Reverse(names)
	}
	return names
}

// awaitVerdict asks the registry for receipts and GitHub for the commit's check
// run until one of them is final, at most for the timeout from start on.
func (a *Action) awaitVerdict(ctx context.Context, d *deploy, start time.Time) error {
	verdicts, err := a.Verdicts(d.inputs.Token)
	if err != nil {
		return fmt.Errorf("connecting to GitHub: %w", err)
	}
	w := &waiting{
		a: a, d: d, start: start, verdicts: verdicts, names: checkNames(d), number: 1,
		github: newPace(slowestPoll), registry: newPace(slowestReceiptPoll),
	}
	defer func() { d.steps = append(d.steps, step{"wait", a.Now().Sub(start)}) }()
	a.github().Group(quiet(fmt.Sprintf("waiting for %q, at most %s", w.names[0], d.inputs.Timeout)))
	err = w.run(ctx)
	a.github().EndGroup()
	if err != nil {
		w.abandon(ctx)
		return err
	}
	return a.conclude(d)
}

// run returns nil once there is a verdict.
func (w *waiting) run(ctx context.Context) error {
	for {
		now := w.a.Now()
		if w.deaf == nil && w.registry.due(now) {
			if err := w.askRegistry(ctx); err != nil {
				return err
			}
		}
		if !w.ended() && w.asksGitHub() && w.github.due(now) {
			w.askGitHub(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("waiting for the verdict, while the deploy goes on: %w", ctx.Err())
		case w.ended():
			w.conclude(ctx)
			return nil
		}
		w.write(ctx, false)
		left := w.d.inputs.Timeout - w.a.Now().Sub(w.start)
		if w.blind != nil && w.last == nil {
			left = min(left, answerPatience-w.a.Now().Sub(w.start))
		}
		if left <= 0 || w.blind != nil && w.deaf != nil {
			return w.noVerdict()
		}
		if err := w.a.Sleep(ctx, min(w.pause(), left)); err != nil {
			return fmt.Errorf("waiting for the verdict, while the deploy goes on: %w", err)
		}
	}
}

// ended reports whether there is a verdict.
func (w *waiting) ended() bool { return w.d.check.Status == "completed" }

// asksGitHub reports whether the agent may write a check run: what this run writes
// itself is no news.
func (w *waiting) asksGitHub() bool {
	return w.blind == nil && (w.last == nil || w.last.Predicate().Reported)
}

// pause is how long nobody is to be asked.
func (w *waiting) pause() time.Duration {
	now := w.a.Now()
	next := w.registry.next
	if w.deaf != nil || w.asksGitHub() && w.github.next.Before(next) {
		next = w.github.next
	}
	return max(next.Sub(now), time.Millisecond)
}

// askGitHub looks for the check run.
func (w *waiting) askGitHub(ctx context.Context) {
	w.github.asked(w.a.Now())
	check, found, err := w.verdicts.Find(ctx, w.d.source.Repository, w.d.commit(), w.names[0], w.d.intent)
	w.trouble = err
	switch {
	case errors.Is(err, ErrNoAccess):
		w.blind = err
		w.a.notice("the workflow's token may not read check runs, so that only an agent that publishes receipts can answer: give the job `permissions: {checks: read}`")
	case err == nil && !found && w.d.check.URL == "": // ask for the other name next
		slices.Reverse(w.names)
	case err == nil && found:
		w.seen, w.d.check = true, check.bounded()
		if w.ended() {
			w.d.marker = parseMarker(check.Text)
			w.d.image = cmp.Or(w.d.image, w.d.marker.Image)
		}
		w.tell(w.d.check)
	}
}

// conclude turns the verdict into the job's result.
func (a *Action) conclude(d *deploy) error {
	what, done, undone := "deploy to ", "deployed to ", "not deployed: "
	switch d.kind {
	case intent.Rollback:
		what, done, undone = "rollback of ", "rolled back ", "not rolled back: "
	case intent.Destroy:
		what, done, undone = "destroy of ", "destroyed ", "not destroyed: "
	case intent.Deploy:
	}
	lines, next := plainLines(d.check.Summary) // all of it is in the job summary
	said := strings.Join(append([]string{d.check.Title}, lines...), "\n")
	switch d.check.Conclusion {
	case "success":
		a.infof("%s%s: %s", done, d.environment, d.check.Title)
		return nil
	case "neutral", "skipped":
		a.github().Warningf("%s", undone+said)
		return nil
	case "action_required":
		return userError("the "+what+d.environment+" was denied: "+said, cmp.Or(next, "the rules are in the App resource of the cluster")+see("; see ", d.check.URL))
	}
	return userError("the "+what+d.environment+" failed: "+said, strings.TrimPrefix(next+see("; see ", d.check.URL), "; "))
}

// see points at an address, if there is one.
func see(before, address string) string {
	if address == "" {
		return ""
	}
	return before + address
}

// noVerdict says what to look at when the time is over.
func (w *waiting) noVerdict() error {
	d := w.d
	waited := w.a.Now().Sub(w.start).Round(time.Second)
	switch {
	case w.seen:
		return userError(fmt.Sprintf("the rollout was still going after %s (%s)", waited, d.check.Title),
			"the agent goes on"+see(": see ", d.check.URL)+"; a longer timeout input waits longer"+w.silence())
	case w.blind != nil:
		return userError(fmt.Sprintf("no agent has answered within %s: no receipt has come, and %v", waited, w.blind),
			"give the job `permissions: {checks: read}`, or let the agent publish receipts (INHAUL_RECEIPTS=on), or set the input wait to false"+w.silence())
	case w.trouble != nil:
		return fmt.Errorf("asking GitHub for the verdict for %s, while the deploy goes on: %w", waited, w.trouble)
	}
	return userError(fmt.Sprintf("no agent has answered within %s: neither a receipt has come nor a check run %q on %s", waited, checkNames(d)[0], short(d.commit())),
		fmt.Sprintf("is the agent running (`kubectl -n inhaul logs deploy/inhaul-agent`)? is there an App with the name that inhaul.yaml gives, %s, and is its `intents` repository %s, and may the agent pull from it? "+
			"may it push its receipts there, or write checks on %s?", d.app.Name, d.intents, d.source.Repository)+w.silence())
}

// silence says why no receipt may have come.
func (w *waiting) silence() string {
	switch {
	case w.deaf != nil:
		return "\nReceipts could not be asked for: " + w.deaf.Error()
	case w.lost != nil:
		return "\nReceipts could not be asked for: " + w.lost.Error()
	}
	return ""
}

// pace is how often somebody is asked.
type pace struct {
	wait, slowest time.Duration
	polls         int
	next          time.Time // zero: at once
}

func newPace(slowest time.Duration) pace { return pace{wait: firstPoll, slowest: slowest} }

func (p *pace) due(now time.Time) bool { return !now.Before(p.next) }

func (p *pace) asked(now time.Time) {
	p.polls++
	p.next = now.Add(p.wait)
	if p.polls >= pollsAtFirst {
		p.wait = min(p.wait+p.wait/4, p.slowest)
	}
}
