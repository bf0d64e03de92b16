package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/inhaul/inhaul/spec"
)

// ErrShared says that other apps of the group are in a preview's namespace, which
// stays.
var ErrShared = errors.New("other apps of the group are in the namespace")

// Tenancies are the namespaces that the apps of a group share. Each app comes in with
// its first release; see Namespaces and Releases.CreateRelease.
type Tenancies interface {
	// ClearNamespace asks for the end of every object of p's app in p's namespace, and
	// returns what is there still, in words for people: empty if there is none. What
	// is of another app is left alone.
	ClearNamespace(ctx context.Context, p Preview) (left string, err error)
	// LeaveNamespace makes durable that p is not in its namespace any more, and returns
	// true. It returns false if no other app is: then the namespace has to go with p.
	// Of two that leave at the same time, one is the last.
	LeaveNamespace(ctx context.Context, p Preview) (out bool, err error)
}

// Tenure is what a preview has to do with a namespace that is there.
type Tenure string

// The tenures.
const (
	TenureOwn     Tenure = "Own"     // it is the preview's, alone or with others of its group
	TenureJoin    Tenure = "Join"    // it is its group's: the preview may come in
	TenureWait    Tenure = "Wait"    // it was its group's, and is about to go
	TenureForeign Tenure = "Foreign" // it is somebody else's
)

// Owns reports whether the preview's namespace is the one that was made for the record
// with that UID: its own, or that of the app of its group that came first. No other
// namespace is ever its to delete, and one that no record owns which is there is
// nobody's.
func (p Preview) Owns(uid string) bool { return uid != "" && uid == orElse(p.Owner, p.UID) }

// There reports whether there is something of the preview, or was until a moment ago.
func (p Preview) There() bool { return p.Phase == PreviewActive || p.Phase == PreviewDestroying }

// shares reports whether other is the preview of another app of the group, of the same
// pull request, and in the same namespace.
func (p Preview) shares(other Preview) bool {
	return p.Group != "" && p.Group == other.Group && p.Line.App != other.Line.App && p.Line.Environment == other.Line.Environment &&
		p.RepositoryID == other.RepositoryID && p.Namespace == other.Namespace
}

// Tenure says what p has to do with the namespace of its name, which was made for the
// record with the UID owner. The records are those of the pull request, of all apps,
// whatever order they have come in. It is pure.
func (p Preview) Tenure(owner string, records []Preview) Tenure {
	if p.Owns(owner) {
		return TenureOwn
	}
	tenure := TenureForeign
	for _, other := range records {
		switch {
		case !p.shares(other) || !other.Owns(owner) || !other.There():
		case other.Phase == PreviewActive:
			return TenureJoin
		default:
			tenure = TenureWait
		}
	}
	return tenure
}

// Stays reports whether the namespace that p leaves, made for the record with the UID
// owner, stays for others of its group. One that leaves, too, counts until it is out:
// what is to be told of its releases is on its record only then. It is pure.
func (p Preview) Stays(owner string, records []Preview, isIn func(app string) bool) bool {
	return slices.ContainsFunc(records, func(other Preview) bool {
		return p.shares(other) && other.Owns(owner) && (other.Phase == PreviewActive || other.Phase == PreviewDestroying && isIn(other.Line.App))
	})
}

// moveOut takes what is of p out of a namespace in which others of its group stay. It
// returns what it waits for; empty once p is out.
func (a *Agent) moveOut(ctx context.Context, p Preview) (left string, err error) {
	if a.Tenancies == nil {
		return "", fmt.Errorf("namespace %s: %w: no way to leave it", p.Namespace, ErrForeign)
	}
	if left, err = a.Tenancies.ClearNamespace(ctx, p); left != "" || err != nil {
		return left, err
	}
	for _, r := range a.Reader.Releases(p.Line) { // last: their objects are found without them, too
		if err := a.Cleaner.Trim(ctx, r); err != nil {
			return "", fmt.Errorf("trimming release %d of %s: %w", r.Number, r.Line, err)
		}
	}
	out, err := a.Tenancies.LeaveNamespace(ctx, p)
	if err != nil || out {
		return "", err
	}
	return "nobody else is in it any more", nil
}

// group is the group of the app's previews; empty: it has none.
func (a App) group() string {
	if a.PreviewPolicy == nil {
		return ""
	}
	return a.PreviewPolicy.Group
}

// Housemates are those of apps whose previews of that pull request share the namespace
// with those of a, which is among them: they have its group, a repository in common, and
// their templates give the same. Without a group it is a alone.
func (a App) Housemates(apps []App, number int) []App {
	group := a.group()
	if group == "" {
		return []App{a}
	}
	namespace := a.PreviewPolicy.environment(a.Name, number).Namespace
	return slices.DeleteFunc(slices.Clone(apps), func(other App) bool {
		return other.group() != group || other.Name != a.Name && !a.sameRepository(other) || other.PreviewPolicy.environment(other.Name, number).Namespace != namespace
	})
}

// Roof is what is allowed of the namespace of p, a preview of a: what the platform owner
// says of a's, and with it the quotas of the other apps that share it, which are to be
// added up, whether these are in it or not. What one of them may reach all may, for
// walls are those of the namespace. An app that has no preview is taken to run the same
// pull request's code as p: that of a fork, or not. It is pure.
func (a App) Roof(p Preview, apps []App) (policy PreviewPolicy, others []Quota) {
	if a.PreviewPolicy == nil {
		return PreviewPolicy{}, nil
	}
	policy = a.PreviewPolicy.Of(p)
	number, _ := spec.PreviewNumber(p.Line.Environment)
	for _, mate := range a.Housemates(apps, number) {
		if mate.Name == a.Name {
			continue
		}
		theirs, _ := mate.preview(p.Line.Environment)
		if !theirs.There() {
			theirs = p
		}
		allowed := mate.PreviewPolicy.Of(theirs)
		others = append(others, allowed.Quota)
		policy.EgressOpen = policy.EgressOpen || allowed.EgressOpen
		policy.EgressAllow = append(slices.Clone(policy.EgressAllow), allowed.EgressAllow...)
	}
	if len(others) > 0 { // in one order, whichever app it is that puts them up
		slices.Sort(policy.EgressAllow)
		policy.EgressAllow = slices.Compact(policy.EgressAllow)
	}
	return policy, others
}

// strayed says what is wrong with the templates of a group: two apps of it that one
// repository deploys would not share a namespace. Empty if nothing is.
func (a App) strayed(apps []App) string {
	if a.group() == "" {
		return ""
	}
	ours := a.PreviewPolicy.environment(a.Name, 1).Namespace
	for _, other := range apps {
		if other.Name == a.Name || other.group() != a.group() || !a.sameRepository(other) {
			continue
		}
		if theirs := other.PreviewPolicy.environment(other.Name, 1).Namespace; theirs != ours {
			return fmt.Sprintf("previews: group %q: namespace %q is that of pull request 1, and %q in App %s: give both Apps the same spec.previews.namespace", a.group(), ours, theirs, other.Name)
		}
	}
	return ""
}

// sameRepository reports whether a rule of a names a repository that one of other does.
func (a App) sameRepository(other App) bool {
	return slices.ContainsFunc(a.Rules, func(r Rule) bool {
		return r.RepositoryID != 0 && slices.ContainsFunc(other.Rules, func(o Rule) bool { return o.RepositoryID == r.RepositoryID })
	})
}
