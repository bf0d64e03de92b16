package e2e

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// rollback is what the ledger reads of a Rollback.
type rollback struct {
	Metadata struct{ Name, Namespace, UID string }
	Status   struct {
		Phase, Message   string
		Release, Restore int
		FinishedAt       time.Time
	}
	answers []string // all that were ever seen, each once in a row
}

// self is the name that the API server knows the test by.
func (tm *team) self(ctx context.Context) (string, error) {
	review := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}}
	resource := schema.GroupVersionResource{Group: "authentication.k8s.io", Version: "v1", Resource: "selfsubjectreviews"}
	answer, err := tm.client.Resource(resource).Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	user, _, err := unstructured.NestedString(answer.Object, "status", "userInfo", "username")
	return user, err
}

// ask asks for a rollback in the cluster, once, however often the API server has
// to be told.
func (tm *team) ask(ctx context.Context, l *line, target string) (*push, error) {
	p := &push{line: l, run: tm.runs.Add(1), inCluster: true, content: content{target: target}}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "inhaul.dev/v1alpha1", "kind": "Rollback",
		"metadata": map[string]any{"name": fmt.Sprintf("chaos-%d", p.run), "namespace": l.namespace},
		"spec":     map[string]any{"app": l.app, "environment": l.environment, "to": target, "requestedBy": tm.user},
	}}
	rollbacks := tm.client.Resource(rollbackResource).Namespace(l.namespace)
	err := insist(ctx, func(ctx context.Context) error {
		made, err := rollbacks.Create(ctx, o, metav1.CreateOptions{FieldManager: "inhaul-e2e"})
		if apierrors.IsAlreadyExists(err) { // its answer was lost
			made, err = rollbacks.Get(ctx, o.GetName(), metav1.GetOptions{})
		}
		if err != nil {
			return err
		}
		sum := sha256.Sum256([]byte("inhaul.dev/rollback\n" + string(made.GetUID())))
		p.digest, p.issuedAt = "sha256:"+hex.EncodeToString(sum[:]), made.GetCreationTimestamp().Time
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("asking for a rollback of %s: %w", l, err)
	}
	l.pushes = append(l.pushes, p)
	return p, nil
}

func (l *ledger) seeRollback(o *unstructured.Unstructured, _ bool) {
	var r rollback
	if decode(o.Object, &r) != nil {
		return
	}
	sum := sha256.Sum256([]byte("inhaul.dev/rollback\n" + r.Metadata.UID))
	key := "sha256:" + hex.EncodeToString(sum[:])
	l.mu.Lock()
	defer l.mu.Unlock()
	r.answers = l.rollbacks[key].answers
	answer := fmt.Sprintf("%s, release %d, restore %d: %s", r.Status.Phase, r.Status.Release, r.Status.Restore, r.Status.Message)
	if n := len(r.answers); r.Status.Phase != "" && (n == 0 || r.answers[n-1] != answer) {
		r.answers = append(r.answers, answer)
	}
	l.rollbacks[key] = r
}

// answers is what was ever wrong with how rollbacks in the cluster were answered:
// once is enough.
func (l *ledger) answers() (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.rollbacks {
		if len(r.answers) > 1 {
			found = append(found, fmt.Sprintf("rollback %s in %s was answered %d times: %q", r.Metadata.Name, r.Metadata.Namespace, len(r.answers), r.answers))
		}
	}
	return found
}

// last is the push that has to be the newest release if p was meant to be: p,
// unless that is a rollback and rightly has none.
func (l *ledger) last(p *push, want expectation) *push {
	for p != nil && p.target != "" && !want.wrongClock[p] {
		refused, denied := l.refusalOf(p)
		if !denied || refused.Superseded {
			break
		}
		p = p.before
	}
	return p
}

// unshown is what is wrong with the check of a rollback that was refused in the
// cluster: nobody promised one.
func (l *ledger) unshown(p *push) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.checks, func(c checkChange) bool { return c.ExternalID == p.digest }) {
		return []string{fmt.Sprintf("%s rollback %d: it was refused and has a check", p.line, p.run)}
	}
	return nil
}

// untrue is what is wrong with the reason for which a rollback was refused; empty
// if it is true.
func (p *push) untrue(refused refusal, releases []release, want expectation) string {
	older := slices.DeleteFunc(slices.Clone(releases), func(r release) bool { return r.at("admitted").After(refused.At) })
	named := func(r release) bool { return r.is(p.target) && r.Status.Phase == "Succeeded" && !r.gone }
	switch {
	case want.wrongClock[p] && strings.Contains(refused.Message, "nobody took it within"):
		return ""
	case !slices.Contains([]string{"rollback", "order: rollback target"}, refused.Rule):
	case p.target == "previous" && strings.HasPrefix(refused.Message, "previous: no release that is kept"):
		if want.skewed || !slices.ContainsFunc(p.previous(older), func(n int) bool { return n > 0 && !releases[n-1].gone }) {
			return ""
		}
	case p.target != "previous" && strings.Contains(refused.Message, "name one that did") && !slices.ContainsFunc(releases, named):
		return ""
	}
	return fmt.Sprintf("a rollback to %s is refused, and that is not true: %s: %s", p.target, refused.Rule, refused.Message)
}

// back is what is wrong with what a rollback brought back.
func (l *ledger) back(p *push, r release, releases []release, want expectation) (found []string) {
	say := func(format string, args ...any) {
		found = append(found, fmt.Sprintf("%s release %d, a rollback to %s: ", p.line, r.Spec.Number, p.target)+fmt.Sprintf(format, args...))
	}
	n := r.Spec.Restore
	if r.Spec.Reason != "Rollback" || n < 1 || n >= r.Spec.Number || len(releases) < n {
		say("it is a %s and brings back %d", r.Spec.Reason, n)
		return found
	}
	if old := releases[n-1]; old.Status.Phase != "Succeeded" || old.Spec.Image != r.Spec.Image || old.deployed() != r.deployed() {
		say("release %d (%s) has %s, and it has %s", n, old.Status.Phase, old.Spec.Image, r.Spec.Image)
	}
	if p.target != "previous" && !releases[n-1].is(p.target) {
		say("it brings back %d of commit %s", n, releases[n-1].deployed())
	}
	trimmed := slices.ContainsFunc(releases, func(r release) bool { return r.gone })
	if p.target == "previous" && p.attempt < 2 && !trimmed && !want.skewed {
		if right := p.previous(releases[:r.Spec.Number-1]); !slices.Contains(right, n) {
			say("it brings back %d, want one of %v", n, right)
		}
	}
	if answer := l.answerOf(p); p.inCluster && (answer.Status.Phase != "Admitted" || answer.Status.Release != r.Spec.Number || answer.Status.Restore != n) {
		say("the answer is %+v", answer.Status)
	}
	return found
}

func (l *ledger) answerOf(p *push) rollback {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rollbacks[p.digest]
}

// previous is what "previous" may mean after these releases, by the words of
// docs/adr/0010: numbers of releases, 0 for none.
func (p *push) previous(releases []release) []int {
	older := slices.DeleteFunc(slices.Clone(releases), func(r release) bool { return r.Status.Phase != "Succeeded" })
	if len(older) == 0 {
		return []int{0}
	}
	newest, good := releases[len(releases)-1], older[len(older)-1]
	before := func(base release) int {
		first := base.origin(releases)
		for _, r := range slices.Backward(older) {
			if r.Spec.Number < first && (r.Spec.Image != base.Spec.Image || r.deployed() != base.deployed()) {
				return r.Spec.Number
			}
		}
		return 0
	}
	verdict := newest.at("verdict")
	back, again := newest.brings(releases)
	switch unsettled := verdict.IsZero() || verdict.After(p.issuedAt); {
	case newest.Status.Phase == "Failed":
		return []int{good.Spec.Number}
	case unsettled && again:
		return []int{back.Spec.Number}
	case unsettled || newest.Status.Phase == "Succeeded":
		return []int{before(newest)}
	}
	return []int{before(newest), before(good)} // it may have been about to be put back
}

// brings is the good release that r brings back, if it does.
func (r release) brings(releases []release) (release, bool) {
	for _, old := range slices.Backward(releases) {
		run := r.Spec.Restore == 0 && r.Spec.Reason == "Rollback" && old.Spec.Source.RunID == r.Spec.Source.RunID
		if old.Spec.Number < r.Spec.Number && old.Status.Phase == "Succeeded" && (run || old.Spec.Number == r.Spec.Restore) {
			return old, true
		}
	}
	return release{}, false
}

// origin is the number of the release that the version of r came with.
func (r release) origin(releases []release) int {
	for {
		old, ok := r.brings(releases)
		if !ok {
			return r.Spec.Number
		}
		r = old
	}
}

// deployed is the commit whose code r runs.
func (r release) deployed() string { return cmp.Or(r.Spec.Commit, r.Spec.Source.Commit) }

// is reports whether a number or a commit means r.
func (r release) is(target string) bool {
	return target == strconv.Itoa(r.Spec.Number) || target == r.deployed()
}

// leftAsItFailed reports whether the objects of r, the newest of its line, stay
// although it failed.
func (r release) leftAsItFailed(l *line) bool {
	return l.keepsFailed && r.Status.Phase == "Failed" && !r.at("applied").IsZero()
}
