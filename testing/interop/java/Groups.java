import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.LongStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.UnknownMemberIdException;
import org.apache.kafka.common.errors.UnreleasedInstanceIdException;

/** Groups of Java consumers, of both protocols, and what the Admin says of them. */
final class Groups {
    private static final int PARTITIONS = 4;
    private static final int COUNT = 50;

    private final Broker broker;
    private final Admin admin;
    private final boolean isClassic;
    /** Goes before every name, so that the protocols do not meet. */
    private final String protocol;
    private final String topic;

    private Groups(Broker broker, Admin admin, String protocol) throws Exception {
        this.broker = broker;
        this.admin = admin;
        this.protocol = protocol;
        isClassic = protocol.equals("classic");
        topic = broker.topic(protocol + "-shared", PARTITIONS, Map.of());
        try (KafkaProducer<String, String> producer = broker.producer(Map.of())) {
            for (int number = 0; number < PARTITIONS * COUNT; number++) {
                producer.send(new ProducerRecord<>(topic, number % PARTITIONS, null, "" + number));
            }
        }
    }

    public static void main(String[] arguments) throws Exception {
        Broker broker = new Broker(arguments[0]);
        try (Admin admin = broker.admin()) {
            for (String protocol : List.of("classic", "consumer")) {
                Groups suite = new Groups(broker, admin, protocol);
                suite.sharing();
                suite.restarting();
                suite.staticMembers();
                suite.removing();
                suite.administered();
                if (suite.isClassic) {
                    suite.cooperating();
                    suite.vanishing();
                    suite.fencedCommits();
                } else {
                    suite.patterns();
                }
            }
            new Groups(broker, admin, "migrated").migrating();
        }
    }

    private Member member(String group, Map<String, ?> settings) {
        Map<String, Object> all = new HashMap<>(settings);
        all.put("group.id", group);
        all.putIfAbsent("group.protocol", isClassic ? "classic" : "consumer");
        if (all.get("group.protocol").equals("classic")) {
            all.putIfAbsent("heartbeat.interval.ms", 200);
        }
        return new Member(broker, all);
    }

    private void same(String name, Object expected, Object actual) {
        Check.same(protocol + ": " + name, expected, actual);
    }

    private TopicPartition partition(int number) {
        return new TopicPartition(topic, number);
    }

    /** How many partitions each has, if no two have one in common. */
    private static String shares(Member... members) {
        List<Integer> shares = new ArrayList<>();
        Set<TopicPartition> all = new HashSet<>();
        for (Member member : members) {
            shares.add(member.consumer.assignment().size());
            all.addAll(member.consumer.assignment());
        }
        return shares + " of " + all.size();
    }

    private void settle(String name, String expected, Member... members) throws Exception {
        Member.settle(protocol + ": " + name, expected, () -> shares(members), members);
    }

    private void sharing() throws Exception {
        String group = protocol + "-sharing";
        try (Member first = member(group, Map.of()).to(topic)) {
            settle("the first member has everything", "[4] of 4", first);
            try (Member second = member(group, Map.of()).to(topic)) {
                settle("two share", "[2, 2] of 4", first, second);
                try (Member third = member(group, Map.of()).to(topic)) {
                    settle("three share", "[1, 1, 2] of 4", inOrder(first, second, third));
                }
                settle("one leaves", "[2, 2] of 4", first, second);
            }
            settle("the last one takes over", "[4] of 4", first);
            Member.settle(protocol + ": nothing is left out", PARTITIONS * COUNT,
                () -> (int) first.records.stream().map(record -> record.value()).distinct()
                    .count(), first);
        }
    }

    /** The three, those with fewer partitions first once they have settled. */
    private Member[] inOrder(Member... members) throws Exception {
        Member.settle(protocol + ": the third has its part", true, () -> {
            int most = 0;
            int least = PARTITIONS;
            int sum = 0;
            for (Member member : members) {
                int size = member.consumer.assignment().size();
                most = Math.max(most, size);
                least = Math.min(least, size);
                sum += size;
            }
            return most == 2 && least == 1 && sum == PARTITIONS;
        }, members);
        Member[] sorted = members.clone();
        java.util.Arrays.sort(sorted,
            java.util.Comparator.comparing(member -> member.consumer.assignment().size()));
        return sorted;
    }

    private void restarting() throws Exception {
        String group = protocol + "-restarting";
        Map<TopicPartition, OffsetAndMetadata> committed = new HashMap<>();
        for (int number = 0; number < PARTITIONS; number++) {
            committed.put(partition(number), new OffsetAndMetadata(10L * number, "at " + number));
        }
        try (Member member = member(group, Map.of()).to(topic)) {
            Member.settle(protocol + ": everything is read", PARTITIONS * COUNT,
                member.records::size, member);
            same("nothing is committed", Map.of(), notNull(member.consumer.committed(
                committed.keySet())));
            member.consumer.commitSync(committed);
            same("what was committed is there", committed.toString(),
                member.consumer.committed(committed.keySet()).toString());
        }
        try (Member member = member(group, Map.of()).to(topic)) {
            Member.settle(protocol + ": the rest is read", PARTITIONS * COUNT - 60,
                member.records::size, member);
            same("beginning at what was committed", LongStream.range(30, COUNT).boxed().toList(),
                member.offsets(partition(3)));
            member.consumer.commitSync();
        }
        try (Member member = member(group, Map.of("auto.offset.reset", "none")).to(topic)) {
            settle("a third one begins", "[4] of 4", member);
            same("at the end", (long) COUNT, member.consumer.position(partition(2)));
            same("with nothing to read", List.of(), member.records);
        }
    }

    private static <V> Map<TopicPartition, V> notNull(Map<TopicPartition, V> found) {
        Map<TopicPartition, V> kept = new HashMap<>(found);
        kept.values().removeIf(java.util.Objects::isNull);
        return kept;
    }

    private void staticMembers() throws Exception {
        String group = protocol + "-static";
        Map<String, ?> one = Map.of("group.instance.id", "one");
        Member first = member(group, one).to(topic);
        try (Member second = member(group, Map.of("group.instance.id", "two")).to(topic)) {
            settle("static members share", "[2, 2] of 4", first, second);
            String before = first.assigned();
            int generation = second.generation();
            int revocations = second.revocations;
            first.close();
            first = member(group, one).to(topic);
            settle("one is restarted", "[2, 2] of 4", first, second);
            same("it has what it had", before, first.assigned());
            same("the other one was not disturbed", revocations, second.revocations);
            same("and there was no rebalance", generation, second.generation());
            try (Member twin = member(group, one).to(topic)) {
                Member old = first;
                if (isClassic) {
                    same("the newer of two with one instance id wins",
                        FencedInstanceIdException.class,
                        Member.failure(member -> {
                            twin.poll();
                            member.consumer.poll(java.time.Duration.ofMillis(20));
                        }, old, second).getClass());
                } else {
                    same("an instance id in use is refused", UnreleasedInstanceIdException.class,
                        Member.failure(member -> {
                            old.poll();
                            second.poll();
                            member.poll();
                        }, twin).getClass());
                }
            }
        } finally {
            first.close();
        }
    }

    private void removing() throws Exception {
        String group = protocol + "-removing";
        Map<String, ?> one = Map.of("group.instance.id", "one");
        Member first = member(group, one).to(topic);
        try (Member second = member(group, Map.of()).to(topic)) {
            settle("two are there", "[2, 2] of 4", first, second);
            first.close();
            admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(
                Set.of(new MemberToRemove("one")))).all().get();
            settle("a static member is removed", "[4] of 4", second);
            Check.fails(protocol + ": one that is not there", UnknownMemberIdException.class,
                () -> admin.removeMembersFromConsumerGroup(group,
                    new RemoveMembersFromConsumerGroupOptions(
                        Set.of(new MemberToRemove("three")))).all().get());
        }
        try (Member third = member(group, Map.of()).to(topic)) {
            Member.settle(protocol + ": another one comes and reads", PARTITIONS * COUNT,
                third.records::size, third);
            String before = third.consumer.groupMetadata().memberId();
            admin.removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions()).all().get();
            Member.settle(protocol + ": all are removed, and it comes again", true,
                () -> third.revocations > 0 && third.consumer.assignment().size() == PARTITIONS,
                third);
            if (isClassic) {
                Check.that(protocol + ": as a new member",
                    !before.equals(third.consumer.groupMetadata().memberId()), before);
            }
        }
    }

    private ConsumerGroupDescription described(String group) throws Exception {
        return admin.describeConsumerGroups(List.of(group)).all().get().get(group);
    }

    private Map<TopicPartition, OffsetAndMetadata> offsets(String group) throws Exception {
        return new TreeMap<>(java.util.Comparator.comparing(TopicPartition::toString)) {
            private static final long serialVersionUID = 1;
            {
                putAll(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()
                    .get());
            }
        };
    }

    private String listed(String group, ListGroupsOptions options) throws Exception {
        return admin.listGroups(options).all().get().stream()
            .filter(listing -> listing.groupId().equals(group))
            .map(Groups::shown).toList().toString();
    }

    private static String shown(GroupListing listing) {
        return listing.protocol() + " " + listing.type().get() + " " + listing.groupState().get();
    }

    private void administered() throws Exception {
        String group = protocol + "-administered";
        GroupType type = isClassic ? GroupType.CLASSIC : GroupType.CONSUMER;
        try (Member member = member(group, Map.of("client.id", "cli")).to(topic)) {
            settle("a member comes", "[4] of 4", member);
            member.consumer.commitSync(Map.of(partition(0), new OffsetAndMetadata(7, "seven"),
                partition(1), new OffsetAndMetadata(8)));
            Member.settle(protocol + ": the group is listed", "[consumer " + type + " Stable]",
                () -> listed(group, new ListGroupsOptions()), member);
            same("by its state", "[consumer " + type + " Stable]", listed(group,
                ListGroupsOptions.forConsumerGroups().inGroupStates(Set.of(GroupState.STABLE))));
            same("not by another", "[]", listed(group,
                ListGroupsOptions.forConsumerGroups().inGroupStates(Set.of(GroupState.EMPTY))));
            same("by its type", "[consumer " + type + " Stable]", listed(group,
                new ListGroupsOptions().withTypes(Set.of(type))));
            same("not by another", "[]", listed(group, new ListGroupsOptions().withTypes(Set.of(
                isClassic ? GroupType.CONSUMER : GroupType.CLASSIC))));
            ConsumerGroupDescription found = described(group);
            same("the group is described", type + " Stable "
                + (isClassic ? "range" : "uniform") + " 1", found.type() + " "
                + found.groupState() + " " + found.partitionAssignor() + " "
                + found.members().size());
            MemberDescription one = found.members().iterator().next();
            same("and its member", "cli /127.0.0.1 " + Optional.empty() + " "
                    + member.assigned() + " " + member.consumer.groupMetadata().memberId(),
                one.clientId() + " " + one.host() + " " + one.groupInstanceId() + " "
                    + new TreeSet<>(one.assignment().topicPartitions().stream()
                        .map(Object::toString).toList()) + " " + one.consumerId());
            same("its offsets are listed", "{" + partition(0) + "="
                    + new OffsetAndMetadata(7, Optional.of(0), "seven") + ", " + partition(1) + "="
                    + new OffsetAndMetadata(8, Optional.of(0), "") + "}",
                withEpoch(offsets(group)).toString());
            Check.fails(protocol + ": offsets of a group with members are not altered",
                UnknownMemberIdException.class, () -> alter(group, 1));
            Check.fails(protocol + ": nor deleted", GroupSubscribedToTopicException.class,
                () -> admin.deleteConsumerGroupOffsets(group, Set.of(partition(0))).all().get());
            Check.fails(protocol + ": nor the group", GroupNotEmptyException.class,
                () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        }
        Check.comes(protocol + ": it is empty", "[consumer " + type + " Empty]",
            () -> listed(group, new ListGroupsOptions()));
        same("it has no members", List.of(), List.copyOf(described(group).members()));
        alter(group, 3);
        same("its offsets are altered", 3L, offsets(group).get(partition(0)).offset());
        same("one at a time", 8L, offsets(group).get(partition(1)).offset());
        admin.deleteConsumerGroupOffsets(group, Set.of(partition(0))).all().get();
        same("they are deleted", Set.of(partition(1)), offsets(group).keySet());
        admin.deleteConsumerGroups(List.of(group)).all().get();
        same("the group is deleted", "[]", listed(group, new ListGroupsOptions()));
        same("and its offsets", Map.of(), offsets(group));
        Check.fails(protocol + ": it is not there to be deleted", GroupIdNotFoundException.class,
            () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        Check.fails(protocol + ": nor described", GroupIdNotFoundException.class,
            () -> described(group));
        alter(group + "-simple", 5);
        same("a group that nobody has joined has offsets", 5L,
            offsets(group + "-simple").get(partition(0)).offset());
        same("and is classic and empty", "[ Classic Empty]",
            listed(group + "-simple", new ListGroupsOptions()));
    }

    /** A commit may come with the epoch of the leader or without. */
    private static Map<TopicPartition, OffsetAndMetadata> withEpoch(
            Map<TopicPartition, OffsetAndMetadata> offsets) {
        offsets.replaceAll((partition, it) ->
            new OffsetAndMetadata(it.offset(), Optional.of(0), it.metadata()));
        return offsets;
    }

    private Object alter(String group, long offset) throws Exception {
        return admin.alterConsumerGroupOffsets(group,
            Map.of(partition(0), new OffsetAndMetadata(offset))).all().get();
    }

    private void cooperating() throws Exception {
        String group = protocol + "-cooperating";
        Map<String, ?> settings = Map.of("partition.assignment.strategy",
            "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
        try (Member first = member(group, settings).to(topic)) {
            settle("a cooperative member has everything", "[4] of 4", first);
            Set<TopicPartition> before = first.consumer.assignment();
            try (Member second = member(group, settings).to(topic)) {
                settle("it gives up a part", "[2, 2] of 4", first, second);
                Check.that("classic: and keeps the other",
                    before.containsAll(first.consumer.assignment()), first.assigned());
                same("once", 1, first.revocations);
            }
            settle("it gets it back", "[4] of 4", first);
            same("and loses nothing for it", 1, first.revocations);
        }
    }

    private void vanishing() throws Exception {
        String group = protocol + "-vanishing";
        Map<String, ?> settings = Map.of("session.timeout.ms", 6000);
        Member first = member(group, settings).to(topic);
        try (Member second = member(group, settings).to(topic)) {
            settle("two are there", "[2, 2] of 4", first, second);
            first.vanish();
            settle("one dies, the other takes over", "[4] of 4", second);
        }
    }

    private void fencedCommits() throws Exception {
        String group = protocol + "-fenced";
        try (Member member = member(group, Map.of()).to(topic)) {
            settle("a member comes", "[4] of 4", member);
            admin.removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions()).all().get();
            Check.fails("classic: who is no member does not commit", CommitFailedException.class,
                () -> {
                    member.consumer.commitSync(Map.of(partition(0), new OffsetAndMetadata(1)));
                    return "a commit";
                });
        }
    }

    private void patterns() throws Exception {
        String group = protocol + "-patterns";
        broker.topic("pattern-a", 1, Map.of());
        broker.topic("other-pattern-a", 1, Map.of());
        try (Member first = member(group, Map.of()).toPattern("pattern-[ab]")) {
            Member.settle("an expression finds its topic", "[pattern-a-0]", first::assigned, first);
            broker.topic("pattern-b", 2, Map.of());
            broker.topic("pattern-c", 1, Map.of());
            Member.settle("a new topic is found too", "[pattern-a-0, pattern-b-0, pattern-b-1]",
                first::assigned, first);
            try (Member second = member(group, Map.of()).to("pattern-c")) {
                Member.settle("a member may have names beside it", "[pattern-c-0]",
                    second::assigned, first, second);
                same("which changes nothing", "[pattern-a-0, pattern-b-0, pattern-b-1]",
                    first.assigned());
            }
            admin.deleteTopics(List.of("pattern-b")).all().get();
            Member.settle("a topic goes away", "[pattern-a-0]", first::assigned, first);
        }
        try (Member wrong = member(group + "-wrong", Map.of()).toPattern("pattern-[")) {
            same("what is no expression is refused",
                "org.apache.kafka.common.errors.InvalidRegularExpression",
                Member.failure(Member::poll, wrong).getClass().getName());
        }
    }

    private void migrating() throws Exception {
        String group = "migrating";
        try (Member old = member(group, Map.of("group.protocol", "classic")).to(topic)) {
            settle("a classic member has everything", "[4] of 4", old);
            try (Member young = member(group, Map.of("group.protocol", "consumer")).to(topic)) {
                settle("a consumer member joins it", "[2, 2] of 4", old, young);
                same("which makes it a consumer group", GroupType.CONSUMER,
                    described(group).type());
                old.consumer.unsubscribe();
                settle("the classic member leaves", "[4] of 4", young);
            }
        }
        try (Member old = member(group, Map.of("group.protocol", "classic")).to(topic)) {
            settle("and a classic one comes back", "[4] of 4", old);
            same("which makes it a classic group", GroupType.CLASSIC, described(group).type());
        }
    }
}
