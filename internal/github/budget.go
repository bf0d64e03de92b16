package github

import (
	"sync"
	"time"
)

const (
	// maxCreations is how many creating requests GitHub wants at most in an hour. Its other bound, 80 in a minute, the
	// spacing of writes keeps.
	// https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#about-secondary-rate-limits
	maxCreations   = 500
	creationWindow = time.Hour

	// minCreationWait lets room come together: the many that wait for it would else be told of each place as it becomes
	// free, and all but one in vain.
	minCreationWait = time.Minute

	// creationsForChecks is what of it is kept for check runs and commit statuses.
	creationsForChecks = 100
)

// urgency says what goes first where not everything can be written at once.
type urgency int

const (
	decoration urgency = iota // deployments and comments
	progress                  // check runs and commit statuses that have not ended
	verdict                   // how it ended
)

// budget is what may be created in an hour. It counts the requests that make something new, the POST ones: a check run,
// a deployment and each of its statuses, a comment, a commit status. An update makes nothing new and is not counted: the
// verdict of a check run that is there never waits for the hour. Those that are not there yet may use what deployments
// and comments must leave.
//
// It is kept in memory: a new process starts with a whole one, and obeys when GitHub knows better. The zero value is
// ready.
type budget struct {
	mu   sync.Mutex
	made []time.Time // in the last hour, oldest first
}

// remaining is how long nothing may be created; 0: it may be now.
func (b *budget) remaining(now time.Time, of urgency) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.made) > 0 && !now.Before(b.made[0].Add(creationWindow)) {
		b.made = b.made[1:]
	}
	limit := maxCreations
	if of == decoration {
		limit -= creationsForChecks
	}
	if len(b.made) < limit {
		return 0
	}
	wait := b.made[len(b.made)-limit].Add(creationWindow).Sub(now)
	return min(max(wait, minCreationWait), creationWindow) // a clock may be set back
}

// spend notes a creation.
func (b *budget) spend(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.made = append(b.made, now)
}
