package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// load asks an address at a steady rate, each time over a new connection that
// starts inside the node's network. It counts every answer that is not 200.
type load struct {
	address string // "10.96.0.7:80"
	proxy   string // of the lab
	rate    int    // requests a second

	mu       sync.Mutex
	sent     int
	failures []string
	answers  map[string]int
	took     []time.Duration
}

// requestTimeout is more than anyone waits for a page.
const requestTimeout = 10 * time.Second

// run asks until ctx ends, and returns when the last answer is there. It does
// not wait for one answer before it asks again.
func (l *load) run(ctx context.Context) {
	client := l.client()
	tick := time.NewTicker(time.Second / time.Duration(l.rate))
	defer tick.Stop()
	var asking sync.WaitGroup
	defer asking.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			asking.Go(func() { l.ask(client) })
		}
	}
}

func (l *load) client() *http.Client {
	return &http.Client{Timeout: requestTimeout, Transport: &http.Transport{DialContext: l.dial, DisableKeepAlives: true}}
}

// answering asks once, uncounted: kube-proxy may not have heard of a new Service.
func (l *load) answering() bool {
	_, err := get(l.client(), "http://"+l.address+"/")
	return err == nil
}

func (l *load) ask(client *http.Client) {
	began := time.Now()
	answer, err := get(client, "http://"+l.address+"/")
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	if err != nil {
		l.failures = append(l.failures, fmt.Sprintf("%s: %v", began.UTC().Format("15:04:05.000"), err))
		return
	}
	l.took = append(l.took, took)
	if l.answers == nil {
		l.answers = map[string]int{}
	}
	l.answers[answer]++
}

func get(client *http.Client, url string) (string, error) {
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // only read from
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return string(body), err
}

// dial opens a tunnel through the lab's proxy, which retries nothing.
func (l *load) dial(ctx context.Context, _, address string) (net.Conn, error) {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", l.proxy)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(connection, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse( //nolint:bodyclose // because the body is the connection
		bufio.NewReader(connection), &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // for the message alone
		return nil, fmt.Errorf("connecting: %s: %s", response.Status, strings.TrimSpace(string(said)))
	}
	return connection, nil
}

// quantile of the times to an answer; 0 without any.
func (l *load) quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l.took))
	return sorted[min(int(math.Ceil(q*float64(len(sorted)))), len(sorted))-1]
}
