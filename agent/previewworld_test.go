package agent

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/inhaul/inhaul/intent"
	"github.com/inhaul/inhaul/spec"
)

// space is a namespace of a world.
type space struct {
	owner  string // UID of the preview that it was made for; empty: somebody's own
	ending bool
	stuck  bool // a finalizer holds it
	asked  int  // deletions that were asked for
	madeAt time.Time

	shared  bool // another app of the group is in it
	emptied bool // and goes at the last moment
}

// keepPreview needs the lock.
func (w *world) keepPreview(p Preview) Preview {
	w.version++
	p.Version = strconv.Itoa(w.version)
	i := slices.IndexFunc(w.previews, func(old Preview) bool { return old.Line == p.Line })
	if i < 0 {
		p.UID = fmt.Sprintf("uid-%d", w.version)
		w.previews = append(slices.Clone(w.previews), p)
	} else {
		w.previews = slices.Clone(w.previews)
		w.previews[i] = p
	}
	w.changed <- p.Line
	return p
}

func (w *world) KeepPreview(ctx context.Context, line Line, change func(*Preview) error) (kept Preview, err error) {
	err = w.call(ctx, func() error {
		p := Preview{Line: line}
		if i := slices.IndexFunc(w.previews, func(old Preview) bool { return old.Line == line }); i >= 0 {
			p = w.previews[i]
		}
		if err := change(&p); err != nil {
			return err
		}
		kept = w.keepPreview(p)
		return nil
	})
	return kept, err
}

func (w *world) ForgetPreview(ctx context.Context, p Preview) error {
	return w.call(ctx, func() error {
		w.previews = slices.DeleteFunc(slices.Clone(w.previews), func(old Preview) bool { return old.Line == p.Line && old.Version == p.Version })
		return nil
	})
}

func (w *world) Preview(line Line) (Preview, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.previews, func(old Preview) bool { return old.Line == line })
	if i < 0 {
		return Preview{}, false
	}
	return w.previews[i], true
}

// settleIn makes the namespace of a preview's release. It needs the lock.
func (w *world) settleIn(r Release) error {
	if _, is := spec.PreviewNumber(r.Line.Environment); !is {
		return nil
	}
	i := slices.IndexFunc(w.previews, func(p Preview) bool { return p.Line == r.Line && p.Phase == PreviewActive })
	if i < 0 {
		return fmt.Errorf("release %d of %s has no preview that is active", r.Number, r.Line)
	}
	there := w.spaces[r.Namespace]
	switch {
	case there == nil:
		w.spaces[r.Namespace] = &space{owner: w.previews[i].UID, madeAt: w.now()}
	case there.owner != w.previews[i].UID:
		return &Rejected{Object: Object{Kind: "Namespace", Name: r.Namespace}, Message: "there is one already, and Inhaul did not make it for this preview"}
	case there.ending:
		return fmt.Errorf("namespace %s is ending", r.Namespace)
	}
	return nil
}

func (w *world) DeleteNamespace(ctx context.Context, p Preview) (left string, err error) {
	err = w.call(ctx, func() error {
		there := w.spaces[p.Namespace]
		switch {
		case there == nil:
			return nil
		case there.owner != p.UID:
			return ErrForeign
		case there.shared:
			return ErrShared
		}
		there.asked++
		switch {
		case !there.ending:
			there.ending, left = true, "what is in it"
		case there.stuck:
			left = "somebody's finalizer"
		default:
			delete(w.spaces, p.Namespace)
			delete(w.chores, p.Namespace+" seed")
			delete(w.chores, p.Namespace+" teardown")
			w.releases = slices.DeleteFunc(slices.Clone(w.releases), func(r Release) bool { return r.Line == p.Line })
			w.changed <- p.Line
		}
		return nil
	})
	return left, err
}

func (w *world) ClearNamespace(ctx context.Context, p Preview) (left string, err error) {
	err = w.call(ctx, func() error {
		for name := range w.live {
			if strings.HasPrefix(name, p.Line.App+"-") {
				delete(w.live, name)
				left = "what is being deleted"
			}
		}
		return nil
	})
	return left, err
}

func (w *world) LeaveNamespace(ctx context.Context, p Preview) (out bool, err error) {
	err = w.call(ctx, func() error {
		there := w.spaces[p.Namespace]
		there.shared = there.shared && !there.emptied
		out = there.shared
		return nil
	})
	return out, err
}

// previewing is a world whose app has previews.
func previewing(tb testing.TB) *world {
	tb.Helper()
	w := newWorld(tb)
	w.allowPreviews()
	return w
}

func (w *world) allowPreviews() {
	w.app.PreviewPolicy = &PreviewPolicy{Namespace: "{app}-pr-{number}", Host: "pr-{number}.{app}.preview.example.com", Max: 5}
	w.app.Rules = append(w.app.Rules, Rule{Name: "pull requests", Environments: []string{"pr-*"}, RepositoryID: 1234, Refs: []string{"refs/pull/*/merge"}})
}

// pull is a run of pull request 7, which deploys its preview.
func pull(n int64, eventAt, issuedAt int) run {
	r := push(n, eventAt, issuedAt)
	r.change = pullRequest(7)
	return r
}

func pullRequest(number int) func(*intent.Predicate) {
	return func(p *intent.Predicate) {
		p.Environment = "pr-" + strconv.Itoa(number)
		p.Source.PullRequest, p.Source.Event, p.Source.Ref = number, "pull_request", pullRequestRef(number)
		p.Source.WorkflowRef = "acme/storefront/.github/workflows/deploy.yml@" + p.Source.Ref
		p.Source.HeadCommit = fmt.Sprintf("%040x", p.Source.RunID+0x4ead<<32)
	}
}

// closePull is a run of pull request 7 that was closed.
func closePull(n int64, eventAt, issuedAt int) run {
	r := pull(n, eventAt, issuedAt)
	r.change = func(p *intent.Predicate) {
		pullRequest(7)(p)
		p.Kind, p.Spec = intent.Destroy, nil
	}
	return r
}

// the preview of pull request 7.
func (w *world) pr7() Preview {
	p, _ := w.Preview(Line{App: "storefront", Environment: "pr-7"})
	return p
}

// wait lets an agent work on the world for so long.
func (w *world) wait(d time.Duration) { w.runUntil(w.now().Add(d), nil) }
