//! Two classic figures, played move by move: what chance meets too rarely.

use milena_cluster::quorum::Rules;
use milena_protocol::ids::NodeId;

use crate::checks::Violation;
use crate::world::World;

/// Lets all begin, and says who leads and who does not.
fn begin<R: Rules>(
    world: &mut World<R>,
    voters: usize,
) -> Result<(NodeId, Vec<NodeId>), Violation> {
    let all: Vec<NodeId> = (1..=voters as i32).map(NodeId).collect();
    world.until(|world| {
        let ends: Vec<_> = all.iter().map(|id| world.applied(*id)).collect();
        world.leaders().len() == 1 && ends[0].0 > 2 && ends.iter().all(|end| *end == ends[0])
    })?;
    let first = world.leaders().first().copied().ok_or("nobody leads")?;
    Ok((first, all.into_iter().filter(|id| *id != first).collect()))
}

/// Waits for a leader among some, other than those that led before.
fn next_leader<R: Rules>(world: &mut World<R>, among: &[NodeId]) -> Result<NodeId, Violation> {
    let of = |world: &World<R>| world.leaders().into_iter().find(|id| among.contains(id));
    world.until(|world| of(world).is_some())?;
    of(world).ok_or_else(|| "no figure: nobody was elected".into())
}

/// Raft's figure 8: the first leader has records that nobody else has; another is elected and cut
/// off before anybody hears of it; the first leads again and brings its old records to a majority,
/// but none of its new epoch. They are not committed, for the other may lead once more.
pub fn older_epoch<R: Rules>(seed: u64) -> Result<(), Violation> {
    let mut world = World::<R>::scripted(seed, 3);
    let (first, others) = begin(&mut world, 3)?;
    world.group(&[&[first], &others]);
    for _ in 0..20 {
        world.propose_to(first)?;
    }
    let rival = next_leader(&mut world, &others)?;
    let third = if others[0] == rival { others[1] } else { others[0] };
    world.group(&[&[first, third], &[rival]]);
    let behind = world.log_end(third);
    world.until(|world| !world.leaders().contains(&first))?;
    next_leader(&mut world, &[first])?;
    world.until(|world| world.log_end(third).0 > behind.0 + 6)?;
    world.group(&[&[first], &[rival, third]]);
    world.until(|world| !world.leaders().contains(&rival))?;
    next_leader(&mut world, &[rival])?;
    Ok(())
}

/// Two leaders change the same voters, one after the other: the first removes one, unheard; the
/// second removes the first, before anything of its own epoch is committed. The first with the one
/// that lags, and the second with the other, are majorities then that share nobody.
pub fn early_voter_change<R: Rules>(seed: u64) -> Result<(), Violation> {
    let mut world = World::<R>::scripted(seed, 4);
    let (first, others) = begin(&mut world, 4)?;
    world.group(&[&[first], &others]);
    world.change_voter(first, others[0])?;
    let second = next_leader(&mut world, &others)?;
    let rest: Vec<NodeId> = others.into_iter().filter(|id| *id != second).collect();
    let (ally, lagging) = (rest[0], rest[1]);
    world.group(&[&[first], &[second, ally], &[lagging]]);
    world.change_voter(second, first)?;
    let moment = world.now() + 300;
    world.until(|world| world.now() > moment)?;
    world.group(&[&[first, lagging], &[second, ally]]);
    world.until(|world| !world.leaders().contains(&first))?;
    // Rightly this is no loss: the second could commit nothing.
    world.until(|world| world.leaders().contains(&first))?;
    Ok(())
}
