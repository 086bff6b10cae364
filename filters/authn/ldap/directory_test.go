package ldap

import (
	"net"
	"slices"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// directory is a server that says what a test wants.
type directory struct {
	t       *testing.T
	address string
	bind    func(dn, password string) (code int64)
	search  []*ber.Packet // all answers to a search
	cut     bool          // hang up instead of the answer to a search

	mu    sync.Mutex
	conns [][]string // what each connection was asked: the DN of a bind, or "search"
}

func serve(t *testing.T) *directory {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	d := &directory{t: t, address: l.Addr().String(), bind: func(_, password string) int64 {
		if password != "right" && password != "ours" {
			return ldap.LDAPResultInvalidCredentials
		}
		return 0
	}}
	d.search = []*ber.Packet{entry("uid=alice,ou=people", "uid", "alice"), result(ldap.ApplicationSearchResultDone, 0)}
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.conns = append(d.conns, nil)
			d.mu.Unlock()
			go d.talk(c, n)
		}
	}()
	return d
}

func (d *directory) talk(c net.Conn, n int) {
	defer c.Close()
	for {
		request, err := ber.ReadPacket(c)
		if err != nil {
			return
		}
		d.mu.Lock()
		answers, cut, what := d.search, d.cut, "search"
		d.mu.Unlock()
		if op := request.Children[1]; op.Tag == ldap.ApplicationBindRequest {
			what = op.Children[1].Data.String()
			answers = []*ber.Packet{result(ldap.ApplicationBindResponse, d.bind(what, op.Children[2].Data.String()))}
		}
		d.mu.Lock()
		d.conns[n] = append(d.conns[n], what)
		d.mu.Unlock()
		if what == "search" && cut {
			return
		}
		for _, a := range answers {
			p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
			p.AppendChild(request.Children[0])
			p.AppendChild(a)
			if _, err := c.Write(p.Bytes()); err != nil {
				return
			}
		}
	}
}

// set changes what the directory says.
func (d *directory) set(cut bool, search ...*ber.Packet) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut, d.search = cut, search
}

// asked returns what the connections were asked so far.
func (d *directory) asked() [][]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.conns)
}

func result(tag ber.Tag, code int64) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	p.AppendChild(text(""))
	p.AppendChild(text("what the server says"))
	return p
}

func text(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

// entry is one with values of a single attribute.
func entry(dn, attribute string, values ...string) *ber.Packet {
	set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
	for _, v := range values {
		set.AppendChild(text(v))
	}
	pair := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	pair.AppendChild(text(attribute))
	pair.AppendChild(set)
	attributes := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	attributes.AppendChild(pair)
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	p.AppendChild(text(dn))
	p.AppendChild(attributes)
	return p
}

func referral() *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
	p.AppendChild(text("ldap://127.0.0.1:1/dc=elsewhere"))
	return p
}
