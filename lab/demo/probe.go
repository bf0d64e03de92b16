package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
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
	answers []string // each answer that differs from the one before
}

// between two requests of the probe.
const probeInterval = 50 * time.Millisecond

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
