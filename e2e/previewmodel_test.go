package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

const (
	noPreviewLabel = "no-preview"
	keepLabel      = "keep-preview"
	opsPerPull     = 6 // on average
)

// previewMode is what gets lost on the way to the agent.
type previewMode string

const (
	allEvents   previewMode = "all events"
	halfEvents  previewMode = "half of the events dropped"
	closeEvents previewMode = "every close event dropped"
	killedAgent previewMode = "agent killed at random"
)

// pullRequest is one of a story.
type pullRequest struct {
	number       int
	branch, base string
	fork         bool
}

// op is one thing that happens to a pull request, as GitHub tells it.
type op struct {
	pull    int // index of the story's pull requests
	action  string
	label   string   // of labeled and unlabeled
	labels  []string // all that it has afterwards
	merged  bool
	asks    ask
	dropped bool // the workflow never ran, or died: nothing was published
	late    bool // what it published came after what the pull request's next op published
}

// ask is what an event asks the agent for.
type ask string

const (
	asksNothing ask = ""
	asksDeploy  ask = "deploy"
	asksDestroy ask = "destroy"
)

// fate is what has to become of a preview.
type fate string

const (
	there fate = "there"
	gone  fate = "gone"
	// either: GitHub said for a while that it ends, only the sweep could know that, and
	// whether it looked just then is chance. Nothing that asks for it came afterwards.
	either fate = "either"
)

// story is what happens to some pull requests, in order.
type story struct {
	pulls []pullRequest
	ops   []op
}

// pullState is a pull request as GitHub shows it.
type pullState struct {
	opened, open, merged bool
	labels               []string
}

// newStory is a story of so many pull requests that random and mode tell.
func newStory(random *rand.Rand, mode previewMode, pulls int) story {
	s := story{}
	for i := range pulls {
		p := pullRequest{number: i + 1, branch: fmt.Sprintf("change-%d", i+1), base: "main", fork: i%10 == 9}
		if i%3 == 1 { // of the same name as that before it, to another base
			p.branch, p.base = s.pulls[i-1].branch, "develop"
		}
		s.pulls = append(s.pulls, p)
	}
	now := make([]pullState, pulls)
	for unopened := pulls; len(s.ops) < pulls*opsPerPull; {
		i := random.IntN(pulls)
		if left := pulls*opsPerPull - len(s.ops); unopened >= left { // each one is opened
			i = slices.IndexFunc(now, func(c pullState) bool { return !c.opened })
		}
		if now[i].merged {
			if !slices.ContainsFunc(now, func(c pullState) bool { return !c.merged }) {
				return s
			}
			continue
		}
		if !now[i].opened {
			unopened--
		}
		o := now[i].next(random)
		o.pull = i
		now[i] = now[i].after(o)
		o.labels, o.asks = slices.Clone(now[i].labels), asksOf(s.pulls[i], o, now[i])
		o.dropped = mode == halfEvents && random.IntN(2) == 0 || mode == closeEvents && o.action == "closed"
		o.late = o.asks == asksDeploy && !o.dropped && random.IntN(4) == 0
		s.ops = append(s.ops, o)
	}
	return s
}

// next is something that can happen to a pull request.
func (c pullState) next(random *rand.Rand) op {
	if !c.opened {
		o := op{action: "opened"}
		if random.IntN(10) == 0 {
			o.label = noPreviewLabel // from the beginning
		}
		return o
	}
	if !c.open {
		return op{action: "reopened"}
	}
	for {
		switch n := random.IntN(12); {
		case n < 5:
			return op{action: "synchronize"}
		case n < 8:
			return op{action: "closed", merged: random.IntN(3) == 0}
		case n < 10 && slices.Contains(c.labels, noPreviewLabel):
			return op{action: "unlabeled", label: noPreviewLabel}
		case n < 9:
			return op{action: "labeled", label: noPreviewLabel}
		case n == 10 && slices.Contains(c.labels, keepLabel):
			return op{action: "unlabeled", label: keepLabel}
		case n == 10:
			return op{action: "labeled", label: keepLabel}
		}
	}
}

// after is the pull request once o has happened.
func (c pullState) after(o op) pullState {
	c.labels = slices.Clone(c.labels)
	switch o.action {
	case "opened":
		c.opened, c.open = true, true
		if o.label != "" {
			c.labels = append(c.labels, o.label)
		}
	case "reopened":
		c.open = true
	case "closed":
		c.open, c.merged = false, o.merged
	case "labeled":
		c.labels = append(c.labels, o.label)
	case "unlabeled":
		c.labels = slices.DeleteFunc(c.labels, func(l string) bool { return l == o.label })
	}
	return c
}

// asksOf is what the Action makes of an event: docs/action.md.
func asksOf(p pullRequest, o op, c pullState) ask {
	labeled := o.action == "labeled" || o.action == "unlabeled"
	switch {
	case p.fork: // its run gets no token to sign with
		return asksNothing
	case o.action == "closed":
		return asksDestroy
	case !c.open || labeled && o.label != noPreviewLabel:
		return asksNothing
	case o.action == "labeled":
		return asksDestroy
	case slices.Contains(c.labels, noPreviewLabel):
		return asksNothing
	}
	return asksDeploy
}

// expect is what has to become of the preview of a pull request, whatever was lost,
// and the op whose code it has to run; -1 for none.
//
// It has to be there if the pull request is open without the label no-preview, and of
// the events that were delivered the last one that asked for something asked for a
// deploy. What GitHub says is closed, or wants no preview, has to be gone. In between
// is what was deployed, then closed or labeled without a word to the agent, then
// opened or unlabeled without a word too: see either. Order is that in which things
// happened, not that in which the agent heard of them.
func (s story) expect(pull int) (fate, int) {
	var c pullState
	newest, ended := -1, false
	for i, o := range s.ops {
		if o.pull != pull {
			continue
		}
		c = c.after(o)
		switch {
		case o.dropped:
			ended = ended || o.asks == asksDestroy
		case o.asks == asksDeploy:
			newest, ended = i, false
		case o.asks == asksDestroy:
			newest, ended = -1, false
		}
	}
	switch {
	case newest < 0 || !c.open || slices.Contains(c.labels, noPreviewLabel):
		return gone, -1
	case ended:
		return either, newest
	}
	return there, newest
}

// events counts those that asked for something, and those that got lost.
func (s story) events() (asked, dropped int) {
	for _, o := range s.ops {
		if o.asks == asksNothing {
			continue
		}
		asked++
		if o.dropped {
			dropped++
		}
	}
	return asked, dropped
}
