package agent

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// refusedFor is how long no receipt of an app is published once the registry has
// refused one: somebody has to grant a right first.
const refusedFor = time.Minute

// refused is why the receipts of an app cannot be published, and when to ask again.
type refused struct {
	err   error
	until time.Time
}

// mayPublish returns why the registry refuses the app's receipts, unless it is time
// to ask again.
func (a *Agent) mayPublish(app string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if no, is := a.unheard[app]; is && a.now().Before(no.until) {
		return no.err
	}
	return nil
}

// published notes how publishing a receipt of the app ended: that the registry
// refuses it stays known until it takes one.
func (a *Agent) published(app string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		delete(a.unheard, app)
	case errors.Is(err, ErrNotPermitted):
		a.unheard[app] = refused{err: err, until: a.now().Add(refusedFor)}
	}
}

// trouble is what is wrong with the app beside what keeps its intents from being
// taken, for people; empty if nothing is.
func (a *Agent) trouble(app App) string {
	var all []string
	for _, other := range a.Apps.Apps() {
		if other.Name != app.Name && other.Intents == app.Intents {
			all = append(all, fmt.Sprintf("intents: App %s has the repository %s, too: give each App one of its own", other.Name, app.Intents))
			break
		}
	}
	if why := app.strayed(a.Apps.Apps()); why != "" {
		all = append(all, why)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if no, is := a.unheard[app.Name]; is {
		all = append(all, "receipts cannot be published, so that no workflow gets its answer: "+no.err.Error())
	}
	return strings.Join(all, "; ")
}
