package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/inhaul/inhaul/spec"
)

// ErrNoRepository says that GitHub shows no such repository: it is gone, or the agent
// may not see it any more. GitHub says the same of both.
var ErrNoRepository = errors.New("no such repository, or it may not be seen")

// PullRequest is what GitHub says of a pull request.
type PullRequest struct {
	Number       int
	RepositoryID int64 // of the one that it is for; 0: not told
	Open         bool
	ClosedAt     time.Time // or merged; zero while it is open
	Labels       []string
}

// OpenPullRequests tells which pull requests are open. Asking again is cheap.
type OpenPullRequests interface {
	// OpenPullRequests returns all of a repository that are open. One that is missing
	// may be open all the same, for the list is read in pages. ErrNoRepository.
	OpenPullRequests(ctx context.Context, repository string) ([]PullRequest, error)
	// PullRequest returns one, open or not. ErrNoRepository if there is none.
	PullRequest(ctx context.Context, repository string, number int) (PullRequest, error)
}

// OpenList is what GitHub says of the pull requests of one repository.
type OpenList struct {
	At        time.Time // when GitHub told; zero: it did not, and only time ends previews
	Pulls     []PullRequest
	GoneSince time.Time // since when it has shown no repository in any look; zero: it does, or did not tell
}

// End is a preview that is to end without an intent that asks for it.
type End struct {
	Preview  Preview // as it was when that was decided; without a line: however it is
	Reason   EndReason
	ClosedAt time.Time // EndClosed: by GitHub's clock; EndUnwanted: when GitHub was asked
}

const (
	// youngPreview is how long a preview is left alone after it was made: GitHub's lists
	// lag behind events by seconds.
	youngPreview = time.Minute

	// gonePatience is how long GitHub has to show no repository, in every single look,
	// before its previews go: a right that was taken away by mistake is given back.
	gonePatience = time.Hour
)

// Sweep says which previews of one repository end, though nobody asks for it, and why.
// It is pure. The rules, first match wins:
//
//  1. one that is no preview now, is ending already, or was just made: left alone. One
//     that waits for room counts: it ends with its pull request or repository, not by time
//  2. its pull request is closed, as GitHub says when it is asked for that one: Closed.
//     That it is missing in the list is not enough, and what GitHub says of another
//     repository that has its name today is not about it
//  3. its pull request has the label no-preview: Unwanted
//  4. GitHub shows no repository for an hour, and nothing was pushed since: Gone
//  5. as old as the platform owner allows: Expired
//  6. nothing pushed for as long as the platform owner allows: Idle
//
// The label that keeps a preview does so against 5 and 6. Previews of a fork's code have
// times of their own. What waits for room ends by the same rules, and its age is that of
// its waiting.
func Sweep(policy PreviewPolicy, previews []Preview, open OpenList, now time.Time) []End {
	var ends []End
	for _, p := range previews {
		if !p.sweeps() || now.Sub(p.began()) < youngPreview {
			continue
		}
		if e := p.ends(policy, open, now); e.Reason != EndAsked {
			ends = append(ends, e)
		}
	}
	return ends
}

// sweeps reports whether p is there, or waits to be.
func (p Preview) sweeps() bool {
	return p.Phase == PreviewActive || p.Waiting != nil && p.Phase != PreviewDestroying
}

// began is since when p is what it is.
func (p Preview) began() time.Time {
	if p.Phase != PreviewActive && p.Waiting != nil {
		return p.Waiting.Since
	}
	return p.CreatedAt
}

// ends is the end of p; without a reason if it goes on.
func (p Preview) ends(policy PreviewPolicy, open OpenList, now time.Time) End {
	e := End{Preview: p}
	labels := p.Labels
	if pull, told := open.of(p); told {
		labels = pull.Labels
		if !pull.Open {
			e.Reason, e.ClosedAt = EndClosed, pull.ClosedAt
			return e
		}
		if slices.Contains(labels, spec.NoPreviewLabel) {
			e.Reason, e.ClosedAt = EndUnwanted, open.At
			return e
		}
	}
	kept := policy.KeepLabel != "" && slices.Contains(labels, policy.KeepLabel)
	policy = policy.Of(p)
	switch pushed := later(p.LastPushAt, p.began()); {
	case !open.GoneSince.IsZero() && now.Sub(open.GoneSince) >= gonePatience && !pushed.After(open.GoneSince):
		e.Reason = EndGone
	case kept:
	case policy.TTL > 0 && now.Sub(p.began()) >= policy.TTL:
		e.Reason = EndExpired
	case policy.IdleTTL > 0 && now.Sub(pushed) >= policy.IdleTTL:
		e.Reason = EndIdle
	}
	return e
}

// expires is when the sweep ends p if nothing is pushed; zero if time does not end it.
func (p Preview) expires(policy PreviewPolicy) time.Time {
	if policy.KeepLabel != "" && slices.Contains(p.Labels, policy.KeepLabel) {
		return time.Time{}
	}
	policy = policy.Of(p)
	var at time.Time
	if policy.TTL > 0 {
		at = p.began().Add(policy.TTL)
	}
	if policy.IdleTTL > 0 {
		at = earlier(at, later(p.LastPushAt, p.began()).Add(policy.IdleTTL))
	}
	return at
}

// of is what GitHub says of the pull request of p; false if it said nothing of it.
func (l OpenList) of(p Preview) (PullRequest, bool) {
	number, _ := spec.PreviewNumber(p.Line.Environment)
	i := slices.IndexFunc(l.Pulls, func(pull PullRequest) bool {
		same := pull.RepositoryID == 0 || p.RepositoryID == 0 || pull.RepositoryID == p.RepositoryID
		return pull.Number == number && same
	})
	if l.At.IsZero() || i < 0 {
		return PullRequest{}, false
	}
	return l.Pulls[i], true
}

// meaning are those of labels that mean something to the policy, in a fixed order.
func (p PreviewPolicy) meaning(labels []string) []string {
	var kept []string
	for _, label := range []string{p.KeepLabel, p.WakeLabel} {
		if label != "" && slices.Contains(labels, label) && !slices.Contains(kept, label) {
			kept = append(kept, label)
		}
	}
	return kept
}
