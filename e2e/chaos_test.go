package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	chaosApps    = 6 // at most, with two environments each; fewer for a few steps
	chaosHistory = 3 // so that releases are trimmed too
	stepsATime   = 5 // faults between two looks at every promise
	settlePause  = 300 * time.Millisecond
	settleTime   = 150 * time.Second // the longest pause between two tries of the agent is a minute
	// skewTime is how much longer: of a rollout that began in the future the time
	// begins anew when the agent looks again.
	skewTime = 120 * time.Second
)

// chaos is a team whose world breaks.
type chaos struct {
	team       *team
	ledger     *ledger
	random     *rand.Rand // chooses the faults, the lines and the seeds of the works
	dice       *rand.Rand // of the work under way: what that finds changes no later choice
	folder     string     // that the agents read
	clockWrong atomic.Bool
	skewed     bool // it was, since the last time that every promise held
	want       expectation
	hits       map[string]int
	begun      map[string]int
	work       map[string]int
	edits      map[*line]int // of strangers, since something was deployed
}

// TestChaos breaks the agents, the API server, the registry, GitHub and the clock,
// one at a time and at the worst moments, while a team deploys, and holds every
// promise against the cluster and GitHub again and again.
func TestChaos(t *testing.T) {
	steps := size("INHAUL_CHAOS")
	if steps == 0 {
		t.Skip("INHAUL_CHAOS is not set; `make chaos` does that, with an agent built for it")
	}
	seed := seedOf(t)
	c := &chaos{
		team: newTeam(t, "chaos", min(2+steps/10, chaosApps), chaosHistory), random: rand.New(rand.NewPCG(seed, 0)), folder: os.Getenv("INHAUL_CHAOS_DIR"),
		want: expectation{newest: map[*line]*push{}, wrongClock: map[*push]bool{}},
		hits: map[string]int{}, begun: map[string]int{}, work: map[string]int{}, edits: map[*line]int{},
	}
	c.team.lines[len(c.team.lines)-1].keepsFailed = true
	c.ledger = openLedger(t, c.team)
	t.Cleanup(func() { c.mend(t) })
	defer c.tally(t, seed, time.Now())
	for _, line := range c.team.lines {
		c.want.newest[line] = c.must(c.team.deploy(t.Context(), line, content{side: true}))(t)
	}
	c.settle(t)
	all := slices.DeleteFunc(faults(), func(f fault) bool { return !strings.Contains(f.name, os.Getenv("INHAUL_CHAOS_ONLY")) })
	if len(all) == 0 {
		t.Fatalf("INHAUL_CHAOS_ONLY is %q, which is in the name of no fault", os.Getenv("INHAUL_CHAOS_ONLY"))
	}
	for step := 0; step < steps; {
		idle := slices.Clone(c.team.lines)
		c.random.Shuffle(len(idle), func(i, j int) { idle[i], idle[j] = idle[j], idle[i] })
		for n := 0; n < stepsATime && step < steps && len(idle) > 0; n++ {
			busy := min(1+c.random.IntN(3), len(idle))
			c.step(t, choose(all, c.random), idle[:busy])
			idle = idle[busy:]
			step++
		}
		c.settle(t)
	}
}

// seedOf is INHAUL_CHAOS_SEED, or a new one, which is printed.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("INHAUL_CHAOS_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	return seed
}

// mend puts the world right again, whatever a step that failed has left.
func (c *chaos) mend(t *testing.T) {
	t.Helper()
	for _, name := range []string{"kill", "skew"} {
		if err := os.RemoveAll(filepath.Join(c.folder, name)); err != nil {
			t.Error(err)
		}
	}
	ctx := context.WithoutCancel(t.Context())
	if err := errors.Join(c.team.admin(ctx, http.MethodDelete, "faults", nil), c.team.lab(ctx, http.MethodDelete, "faults", nil, nil)); err != nil {
		t.Error(err)
	}
}

// must passes a push on, or ends the test.
func (c *chaos) must(p *push, err error) func(*testing.T) *push {
	return func(t *testing.T) *push {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

// step begins a fault, lets the lines deploy, and ends it. What can never be
// mended is looked for at once.
func (c *chaos) step(t *testing.T, f fault, lines []*line) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settleTime)
	defer cancel()
	began := time.Now()
	end, err := f.begin(ctx, c)
	if err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	c.begun[f.name]++
	ended := make(chan error, 1)
	hit := false
	go func() {
		var err error
		hit, err = end(ctx)
		ended <- err
	}()
	var did []string
	for _, line := range lines {
		name, err := c.deploy(ctx, line, f.want)
		if err != nil {
			t.Errorf("%s: %s: %v", f.name, name, err)
		}
		did = append(did, name)
	}
	if err := <-ended; err != nil {
		t.Errorf("%s: %v", f.name, err)
	}
	if hit {
		c.hits[f.name]++
	}
	t.Logf("%s: %s (hit: %t, %s)", f.name, strings.Join(did, ", "), hit, time.Since(began).Round(100*time.Millisecond))
	for _, problem := range c.ledger.broken(ctx) {
		t.Errorf("after %q: %s", f.name, problem)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// settle waits until every promise holds.
func (c *chaos) settle(t *testing.T) {
	t.Helper()
	began := time.Now()
	limit := settleTime
	if c.skewed {
		limit += skewTime
	}
	c.skewed = false
	if problems := c.ledger.settle(t.Context(), c.want, limit); len(problems) > 0 {
		t.Fatalf("%s after the last fault %d promises are broken:\n%s", time.Since(began).Round(time.Second), len(problems), strings.Join(problems, "\n"))
	}
	t.Logf("all promises hold after %s", time.Since(began).Round(100*time.Millisecond))
}

// settle returns nothing once every promise holds, or what is broken when time is
// up.
func (l *ledger) settle(ctx context.Context, want expectation, limit time.Duration) []string {
	for deadline := time.Now().Add(limit); ; time.Sleep(settlePause) {
		problems := l.problems(ctx, want)
		if len(problems) == 0 || time.Now().After(deadline) || ctx.Err() != nil {
			return problems
		}
	}
}

// expect notes that p has to be the line's last release.
func (c *chaos) expect(p *push) {
	p.before = c.want.newest[p.line]
	c.want.newest[p.line] = p
	c.edits[p.line] = 0
	c.note(p)
}

// note remembers whether the clock was wrong when p came.
func (c *chaos) note(p *push) {
	if c.clockWrong.Load() {
		c.want.wrongClock[p], c.skewed = true, true
	}
}

// tally prints how often what happened.
func (c *chaos) tally(t *testing.T, seed uint64, began time.Time) {
	t.Helper()
	var b strings.Builder
	faults, hits := 0, 0
	for _, name := range slices.Sorted(maps.Keys(c.begun)) {
		fmt.Fprintf(&b, "%4d of %3d hit  %s\n", c.hits[name], c.begun[name], name)
		faults, hits = faults+c.begun[name], hits+c.hits[name]
	}
	for _, name := range slices.Sorted(maps.Keys(c.work)) {
		fmt.Fprintf(&b, "%4d times       %s\n", c.work[name], name)
	}
	pushes, releases := 0, 0
	for _, l := range c.team.lines {
		pushes, releases = pushes+len(l.pushes), releases+len(c.ledger.of(l))
	}
	t.Logf("seed %d: %d faults, %d hit, in %s; %d intents, %d releases\n%s", seed, faults, hits, time.Since(began).Round(time.Second), pushes, releases, b.String())
}
