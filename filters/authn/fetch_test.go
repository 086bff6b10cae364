package authn

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestHungHandshakes: a service that has said nothing for a while, and then answers
// again, is asked again: the connections that hung are not counted for ever.
func TestHungHandshakes(t *testing.T) {
	t.Parallel()
	const connections, timeout = 2, 200 * time.Millisecond
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	service.StartTLS()
	defer service.Close()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	client := NewHTTPClient(nil, connections, timeout)
	ask := func() error {
		r, err := http.NewRequest(http.MethodPost, "https://"+front.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Send(context.Background(), client, r)
		return err
	}
	var hung []net.Conn
	for range connections {
		if ask() == nil {
			t.Fatal("an answer from nobody")
		}
		conn, err := front.Accept()
		if err != nil {
			t.Fatal(err)
		}
		hung = append(hung, conn)
	}
	// Now it accepts and ends connections, which is all that must be seen to happen.
	came := make(chan net.Conn)
	go func() {
		if conn, err := front.Accept(); err == nil {
			came <- conn
		}
	}()
	deadline := time.After(30 * time.Second)
	for again := time.NewTicker(timeout); ; {
		select {
		case conn := <-came:
			conn.Close()
			for _, c := range hung {
				c.Close()
			}
			return
		case <-again.C:
			_ = ask()
		case <-deadline:
			t.Fatal("the service is not asked any more")
		}
	}
}

func TestBlames(t *testing.T) {
	for status, want := range map[int]bool{
		200: false, 400: true, 401: false, 403: false, 404: true, 408: false, 413: true, 414: true, 422: true, 429: false, 431: true, 500: false,
	} {
		if got := (Reply{Status: status}).Blames(); got != want {
			t.Errorf("%d: %v", status, got)
		}
	}
}
