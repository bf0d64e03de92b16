package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/inhaul/inhaul/lab/stage"
)

// probe asks the app over its Service, again and again, and counts the errors.
type probe struct {
	stage  *stage.Stage
	cancel context.CancelFunc
	done   sync.WaitGroup

	address string
	sent    int
	failed  int
	first   error    // of those that failed
	answers []string // each answer that differs from the one before
}

// between two requests of the probe.
const probeInterval = 50 * time.Millisecond

// minRequests is what three rollouts and a failed one have to see at the least:
// five seconds of asking. They take 20 and more.
const minRequests = 100

func newProbe(s *stage.Stage) *probe { return &probe{stage: s, cancel: func() {}} }

// find learns the app's address inside the cluster.
func (p *probe) find(ctx context.Context) error {
	if p.address != "" {
		return nil
	}
	ip, err := p.stage.Kubectl(ctx, "", "-n", namespace, "get", "service", "storefront-web", "-o", "jsonpath={.spec.clusterIP}")
	if err != nil {
		return err
	}
	p.address = "http://" + ip + "/"
	return nil
}

func (p *probe) client() *http.Client {
	proxy := &url.URL{Scheme: "http", Host: p.stage.Lab.Proxy()}
	return &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{Proxy: http.ProxyURL(proxy), DisableKeepAlives: true}}
}

// start asks until stop.
func (p *probe) start(ctx context.Context) error {
	if err := p.find(ctx); err != nil {
		return err
	}
	ctx, p.cancel = context.WithCancel(ctx)
	client := p.client()
	p.done.Go(func() {
		for ctx.Err() == nil {
			answer, err := p.ask(ctx, client)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				p.sent, p.failed = p.sent+1, p.failed+1
				p.first = cmp.Or(p.first, err)
			default:
				p.sent++
				if n := len(p.answers); n == 0 || p.answers[n-1] != answer {
					p.answers = append(p.answers, answer)
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(probeInterval):
			}
		}
	})
	return nil
}

func (p *probe) stop() {
	p.cancel()
	p.done.Wait()
}

// faults are what is wrong with what was seen: that nobody looked, errors, and
// answers of a version that must not serve.
func (p *probe) faults() []string {
	var found []string
	if p.sent < minRequests {
		found = append(found, fmt.Sprintf("only %d requests were sent to the app, want %d at least", p.sent, minRequests))
	}
	if p.failed > 0 {
		found = append(found, fmt.Sprintf("%d of %d requests to the app failed, first with: %v", p.failed, p.sent, p.first))
	}
	seen := map[string]bool{}
	for _, answer := range p.answers {
		version := versionPattern.FindString(answer)
		seen[version] = true
		if version != "(v1)" && version != "(v2)" {
			found = append(found, fmt.Sprintf("the app answered %q, want v1 or v2", answer))
		}
	}
	if !seen["(v1)"] || !seen["(v2)"] {
		found = append(found, fmt.Sprintf("the app answered in turn %q, want v1 and v2 among it", p.answers))
	}
	return found
}

var versionPattern = regexp.MustCompile(`\(v\d+\)$`)

// now is what the app answers once old pods have left the endpoints, or the
// error as text.
func (p *probe) now(ctx context.Context) string {
	if err := p.find(ctx); err != nil {
		return err.Error()
	}
	answer, err := p.ask(ctx, p.client())
	if err != nil {
		return err.Error()
	}
	return answer
}

func (p *probe) ask(ctx context.Context, client *http.Client) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.address, nil)
	if err != nil {
		return "", err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", response.Status, body)
	}
	return strings.TrimSpace(string(body)), nil
}
