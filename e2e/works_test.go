package e2e

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// second is the time that a rollback has to be later than a push to hold against
// it: GitHub and the API server tell times in whole seconds.
const second = 1100 * time.Millisecond

// work is something that is done with a line; it returns what it is called.
type work func(*chaos, context.Context, *line) (string, error)

// works are what a team, and a stranger, do.
func works() []work {
	return []work{
		(*chaos).good, (*chaos).broken, (*chaos).predeploy, (*chaos).rerun, (*chaos).outOfOrder, (*chaos).overtake,
		(*chaos).ask, (*chaos).rollBack, (*chaos).flight, (*chaos).amid, (*chaos).stranger, (*chaos).stranger,
	}
}

// deploy lets a line do something that a team does, or what is wanted, and names
// it.
func (c *chaos) deploy(ctx context.Context, l *line, want work) (name string, err error) {
	c.dice = rand.New(rand.NewPCG(c.random.Uint64(), 0))
	if all := works(); want == nil {
		want = all[c.dice.IntN(len(all))]
	}
	name, err = want(c, ctx, l)
	c.work[name]++
	return name, err
}

// upTo is a random time.
func (c *chaos) upTo(most time.Duration) time.Duration {
	return time.Duration(c.dice.Int64N(int64(most)))
}

func (c *chaos) push(ctx context.Context, l *line, what content) error {
	what.side = what.side || c.dice.IntN(2) == 0
	p, err := c.team.compose(ctx, l, what)
	if err != nil {
		return err
	}
	c.expect(p)
	return c.team.publish(ctx, p)
}

func (c *chaos) good(ctx context.Context, l *line) (string, error) {
	return "good push", c.push(ctx, l, content{})
}

func (c *chaos) broken(ctx context.Context, l *line) (string, error) {
	name := "broken push"
	if l.keepsFailed {
		name += ", and what failed is kept"
	}
	return name, c.push(ctx, l, content{broken: true})
}

func (c *chaos) predeploy(ctx context.Context, l *line) (string, error) {
	return "push with predeploy", c.push(ctx, l, content{predeploy: true})
}

// rerun runs an older run than the last release's again, one of those that are
// kept for certain.
func (c *chaos) rerun(ctx context.Context, l *line) (string, error) {
	releases := c.ledger.of(l)
	for i := len(releases) - 2; i >= max(0, len(releases)-chaosHistory); i-- {
		n := slices.IndexFunc(l.pushes, func(p *push) bool { return p.digest == releases[i].Spec.Intent })
		if n < 0 || l.pushes[n].inCluster || releases[i].gone {
			continue
		}
		name := "re-run of an old run"
		if l.pushes[n].target != "" {
			name = "re-run of a rollback"
		}
		p, err := c.team.again(ctx, l.pushes[n])
		if err != nil {
			return name, err
		}
		c.expect(p)
		return name, c.team.publish(ctx, p)
	}
	return c.good(ctx, l)
}

// outOfOrder publishes two pushes, the later one first, and the earlier one twice.
func (c *chaos) outOfOrder(ctx context.Context, l *line) (string, error) {
	const name = "two pushes out of order, one doubled"
	first, err := c.team.compose(ctx, l, content{predeploy: c.dice.IntN(2) == 0})
	if err != nil {
		return name, err
	}
	time.Sleep(2 * time.Millisecond)
	second, err := c.team.compose(ctx, l, content{side: true})
	if err != nil {
		return name, err
	}
	c.note(first)
	c.expect(second)
	if err := c.team.publish(ctx, second); err != nil {
		return name, err
	}
	time.Sleep(c.upTo(2 * time.Second))
	if err := c.team.publishTwice(ctx, first); err != nil {
		return name, err
	}
	return name, c.team.publish(ctx, first)
}

// overtake publishes a push while the one before it rolls out.
func (c *chaos) overtake(ctx context.Context, l *line) (string, error) {
	const name = "two pushes, one overtakes"
	if err := c.push(ctx, l, content{broken: c.dice.IntN(3) == 0, predeploy: c.dice.IntN(2) == 0}); err != nil {
		return name, err
	}
	time.Sleep(c.upTo(3 * time.Second))
	return name, c.push(ctx, l, content{})
}

// aim is what a rollback of a line may name, and how that is called.
func (c *chaos) aim(l *line) (target, kind string) {
	which, way := c.dice.IntN(1<<16), c.dice.IntN(3)
	good := slices.DeleteFunc(c.ledger.of(l), func(r release) bool { return r.gone || r.Status.Phase != "Succeeded" })
	if way == 0 || len(good) == 0 {
		return "previous", "to previous"
	}
	r := good[which%len(good)]
	if way == 1 {
		return r.deployed(), "by commit"
	}
	return strconv.Itoa(r.Spec.Number), "by number"
}

// ask asks for a rollback in the cluster.
func (c *chaos) ask(ctx context.Context, l *line) (string, error) {
	target, kind := c.aim(l)
	return "rollback in the cluster, " + kind, c.askFor(ctx, l, target)
}

func (c *chaos) askFor(ctx context.Context, l *line, target string) error {
	p, err := c.team.ask(ctx, l, target)
	if err == nil {
		c.expect(p)
	}
	return err
}

// rollBack lets a workflow roll back.
func (c *chaos) rollBack(ctx context.Context, l *line) (string, error) {
	target, kind := c.aim(l)
	return "rollback by a workflow, " + kind, c.push(ctx, l, content{target: target})
}

// eitherBack rolls back in either way, and names it.
func (c *chaos) eitherBack(ctx context.Context, l *line) (string, error) {
	if c.dice.IntN(2) == 0 {
		return c.ask(ctx, l)
	}
	return c.rollBack(ctx, l)
}

// amid rolls back while a push rolls out.
func (c *chaos) amid(ctx context.Context, l *line) (string, error) {
	const during = ", amid a rollout"
	if err := c.push(ctx, l, content{broken: c.dice.IntN(3) == 0, predeploy: c.dice.IntN(3) == 0}); err != nil {
		return during, err
	}
	time.Sleep(second + c.upTo(2*time.Second))
	name, err := c.eitherBack(ctx, l)
	return name + during, err
}

// flight rolls back while a build is in flight, whose intent comes after that and
// must not undo it.
func (c *chaos) flight(ctx context.Context, l *line) (string, error) {
	const flying = ", a build in flight"
	build, err := c.team.compose(ctx, l, content{})
	if err != nil {
		return flying, err
	}
	c.expect(build)
	time.Sleep(second)
	name, err := c.eitherBack(ctx, l)
	if err != nil {
		return name + flying, err
	}
	time.Sleep(c.upTo(2 * time.Second))
	return name + flying, c.team.publish(ctx, build)
}
