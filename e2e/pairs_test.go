package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	pairApps  = 5 // with two environments each: so many pairs at a time
	pairApart = 5 * time.Second
)

// pair is two pushes to a line: what they deploy, when, and how they arrive.
type pair struct {
	contents [2]content
	apart    time.Duration // between the pushes
	late     time.Duration // of the delivery of the one that comes last, after the second push
	swapped  bool          // the second push is delivered first
}

func newPair(random *rand.Rand) pair {
	up := func(most time.Duration) time.Duration {
		return time.Millisecond + time.Duration(random.Int64N(int64(most)))
	}
	p := pair{
		contents: [2]content{
			{broken: random.IntN(4) == 0, predeploy: random.IntN(4) == 0, side: true},
			{predeploy: random.IntN(4) == 0},
		},
		apart: up(pairApart), late: up(pairApart / 2), swapped: random.IntN(2) == 0,
	}
	if random.IntN(3) == 0 {
		p.apart = up(50 * time.Millisecond) // as good as at once
	}
	return p
}

// TestPairs pushes twice to a line within 5 seconds, the intents delivered in any
// order and each of them twice: the newest push is live at the end, every time. No
// check turned green on a commit that was not live, none is red on a commit that
// was superseded.
func TestPairs(t *testing.T) {
	pairs := size("INHAUL_PAIRS")
	if pairs == 0 {
		t.Skip("INHAUL_PAIRS is not set; `make pairs` does that")
	}
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 0))
	tm := newTeam(t, "pairs", min(pairApps, (pairs+1)/2), 50)
	l := openLedger(t, tm)
	began, done, swapped := time.Now(), 0, 0
	for done < pairs {
		lines := tm.lines[:min(len(tm.lines), pairs-done)]
		newest := make([]*push, len(lines))
		var group errgroup.Group
		for i, line := range lines {
			p := newPair(random)
			if p.swapped {
				swapped++
			}
			group.Go(func() (err error) {
				newest[i], err = tm.pushPair(t.Context(), line, p)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		want := expectation{newest: map[*line]*push{}}
		for i, line := range lines {
			want.newest[line] = newest[i]
		}
		if problems := l.settle(t.Context(), want, settleTime); len(problems) > 0 {
			t.Fatalf("seed %d, after %d pairs:\n%s", seed, done, strings.Join(problems, "\n"))
		}
		done += len(lines)
	}
	green, wrong := l.greens()
	for _, problem := range wrong {
		t.Errorf("seed %d: %s", seed, problem)
	}
	t.Logf("seed %d: %d pairs, %d of them delivered the other way round, in %s: the newest was live at the end of each; %s; %d checks turned green, %d of them on a commit that was not live",
		seed, done, swapped, time.Since(began).Round(time.Second), l.phases(), green, len(wrong))
}

// pushPair returns the second push.
func (tm *team) pushPair(ctx context.Context, l *line, p pair) (*push, error) {
	first, err := tm.compose(ctx, l, p.contents[0])
	if err != nil {
		return nil, err
	}
	if !p.swapped {
		if err := tm.deliver(ctx, first); err != nil {
			return nil, err
		}
	}
	time.Sleep(p.apart)
	second, err := tm.compose(ctx, l, p.contents[1])
	if err != nil {
		return nil, err
	}
	if err := tm.deliver(ctx, second); err != nil {
		return nil, err
	}
	time.Sleep(p.late)
	return second, tm.deliver(ctx, first) // in order: once more
}

// deliver publishes twice, under a tag that is not the intent's own too.
func (tm *team) deliver(ctx context.Context, p *push) error {
	if err := tm.publishTwice(ctx, p); err != nil {
		return err
	}
	return tm.publish(ctx, p)
}

// greens counts the checks that turned green, and names those that did so on a
// commit which was not live: neither then, nor, if a newer release went live while
// the report was on its way, when the verdict was made.
func (l *ledger) greens() (green int, wrong []string) {
	for _, line := range l.team.lines {
		deployment := line.namespace + "/" + line.app + "-web"
		for _, p := range line.pushes {
			at, found := l.turnedGreen(p)
			r, released := l.releaseOf(p)
			if !found {
				continue
			}
			green++
			verdict := r.at("verdict")
			if now, then := l.served(deployment, at), l.served(deployment, verdict); !released || now != p.commit && then != p.commit {
				wrong = append(wrong, fmt.Sprintf("%s: the check of run %d turned green at %s, and %s was live; at its verdict, %s, %s was",
					line, p.run, at.Format(time.StampMilli), strings.TrimLeft(now, "0"), verdict.Format(time.StampMilli), strings.TrimLeft(then, "0")))
			}
		}
	}
	return green, wrong
}

// turnedGreen is when a push's check first was a success.
func (l *ledger) turnedGreen(p *push) (at time.Time, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.checks {
		if c.ExternalID == p.digest && c.Conclusion == "success" {
			return c.At, true
		}
	}
	return time.Time{}, false
}

// phases says how many releases ended how.
func (l *ledger) phases() string {
	count := map[string]int{}
	refused := 0
	for _, line := range l.team.lines {
		for _, r := range l.of(line) {
			count[r.Status.Phase]++
		}
		for _, p := range line.pushes {
			if _, found := l.refusalOf(p); found {
				refused++
			}
		}
	}
	return fmt.Sprintf("%d releases succeeded, %d failed, %d were superseded, %d intents were never admitted",
		count["Succeeded"], count["RolledBack"]+count["Failed"], count["Superseded"], refused)
}
